// SPDX-License-Identifier: Apache-2.0
#include "eval/dataset.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/list.h"
#include "base/random.h"
#include "eval/dataset_reader.h"
#include "eval/own_task.h"
#include "probe/folds.h"
#include "text/text_file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIdsFile = "dev_ids.tsv";

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string read(const fs::path& path, Dataset& data) {
  const TextFile file(path);
  data.files.push_back(file.path());
  return std::string(file.text());
}

// The index of the file that was read last.
uint32_t last_file(const Dataset& data) { return static_cast<uint32_t>(data.files.size() - 1); }

void read_sts_sets(const fs::path& folder, Dataset& data) {
  for (std::string_view set : data.task->sets) {
    const fs::path input = folder / concat("STS.input.", set, ".txt");
    const fs::path gold = folder / concat("STS.gs.", set, ".txt");
    const std::string input_text = read(input, data);
    const uint32_t file = last_file(data);
    const std::string gold_text = read(gold, data);
    ParsedRows rows =
        parse_sts_set(input_text, input.string(), gold_text, gold.string(), *data.task);
    if (rows.pairs.empty()) rows.left_out.sets_without_gold.emplace_back(set);
    data.left_out += rows.left_out;
    for (Pair& pair : rows.pairs) {
      pair.row = static_cast<uint32_t>(data.pairs.size());
      pair.part = static_cast<uint32_t>(data.parts.size());
      pair.file = file;
      data.pairs.push_back(std::move(pair));
    }
    data.parts.emplace_back(set);
  }
}

// file: the one that lines count in.
void take(ParsedRows rows, uint32_t file, Dataset& data) {
  data.pairs = std::move(rows.pairs);
  for (Pair& pair : data.pairs) pair.file = file;
  data.left_out = std::move(rows.left_out);
  data.quoted = rows.quoted;
}

void read_lines(const Source& source, const fs::path& folder, const fs::path& file, Dataset& data) {
  const fs::path a = folder / source.a, b = folder / source.b;
  const std::string labels = read(file, data), first = read(a, data);
  const uint32_t index = last_file(data);
  const std::string second = read(b, data);
  take(parse_lines({labels, file.string()}, {first, a.string()}, {second, b.string()}, *data.task,
                   source),
       index, data);
}

// Both files, class 1 first, and of their rows those of the wanted split. The folds never change: a
// head fitted today is evaluated on the same rows tomorrow.
void read_folds(const Source& source, const fs::path& folder, const fs::path& file, Dataset& data) {
  std::vector<Pair> all = parse_sentences(read(file, data), 1).pairs;
  for (Pair& pair : parse_sentences(read(folder / source.a, data), 0).pairs) {
    pair.row = static_cast<uint32_t>(all.size());
    pair.file = last_file(data);
    all.push_back(std::move(pair));
  }
  std::vector<uint32_t> labels;
  labels.reserve(all.size());
  for (const Pair& pair : all) labels.push_back(static_cast<uint32_t>(pair.gold));
  const std::vector<uint32_t> fold = assign_folds(labels, kFolds, 1);
  for (size_t i = 0; i < all.size(); ++i)
    if ((fold[i] == 0) == (data.split == Split::kValidation))
      data.pairs.push_back(std::move(all[i]));
}

void read_tsv(const Source& source, const fs::path& folder, const fs::path& file, Dataset& data) {
  std::optional<IdPairs> ids;
  if (source.layout == Layout::kTsvWithoutIds || source.layout == Layout::kTsvOnlyIds) {
    const std::optional<fs::path> ids_file = find_text_file(folder / kIdsFile);
    if (!ids_file)
      throw MissingData(concat(file.string(), ": without ", kIdsFile,
                               " beside it, its rows cannot be told into train and validation"));
    ids = parse_id_pairs(read(*ids_file, data), ids_file->string());
  }
  const std::string text = read(file, data);
  take(parse_tsv(text, file.string(), *data.task, source, ids ? &*ids : nullptr), last_file(data),
       data);
}

bool is_jsonl(const Source& source) { return source.file.ends_with(".jsonl"); }

// How a parquet file is made into JSON lines.
std::string convert_parquet(const fs::path& from, const fs::path& to) {
  return concat(from.string(), " is parquet, which is not read here; this makes JSON lines of it: ",
                "python3 -c \"import pandas; pandas.read_parquet('", from.string(), "').to_json('",
                to.string(), "', orient='records', lines=True)\"");
}

// Why there are none.
std::string none_left(const LeftOut& out) {
  std::string why;
  const auto add = [&](size_t n, const char* what) {
    if (n > 0) why += concat(why.empty() ? "; " : ", ", n, what);
  };
  add(out.n_empty, " have an empty sentence");
  add(out.n_damaged, " are damaged");
  add(out.n_unlabelled, " have no agreed label");
  add(out.n_unscored, " have no gold value");
  return why;
}

// `file` is the one of source.file that exists.
void read_source(const Source& source, const fs::path& folder, const fs::path& file,
                 Dataset& data) {
  data.parts = {std::string(data.task->name)};
  switch (source.layout) {
    case Layout::kStsSets:
      data.parts.clear();
      read_sts_sets(folder, data);
      break;
    case Layout::kLines:
      read_lines(source, folder, file, data);
      break;
    case Layout::kTwoFiles:
      read_folds(source, folder, file, data);
      break;
    case Layout::kLabelFirst:
      take(parse_label_first(read(file, data), file.string(), *data.task, source), 0, data);
      break;
    case Layout::kJsonl:
    case Layout::kUnlabelled:
    case Layout::kTsv:
    case Layout::kTsvNoHeader:
    case Layout::kTsvWithoutIds:
    case Layout::kTsvOnlyIds:
      if (is_jsonl(source))
        take(parse_jsonl(read(file, data), file.string(), *data.task, source), 0, data);
      else
        read_tsv(source, folder, file, data);
      break;
  }
  FATHOM_REQUIRE(!data.pairs.empty(), file.string(), ": no rows", none_left(data.left_out));
}

// Files of a split, with or without gold values.
std::vector<std::string> file_names(const Task& task, Split split, bool labelled) {
  std::vector<std::string> files;
  for (const Source& source : task.sources)
    if (source.split == split && labelled == (source.layout != Layout::kUnlabelled))
      files.emplace_back(source.file);
  return files;
}

// The first file of the split that is there, read; nothing is found if data.pairs stays empty.
// `unlabelled` becomes the last file without gold values that was passed over.
void read_first(const fs::path& root, bool labelled, Dataset& data,
                std::optional<fs::path>& unlabelled) {
  for (std::string_view name : data.task->folders) {
    const fs::path folder = name.empty() ? root : root / name;
    for (const Source& source : data.task->sources) {
      if (source.split != data.split) continue;
      const std::optional<fs::path> file = find_text_file(folder / source.file);
      if (!file) continue;
      if (labelled == (source.layout != Layout::kUnlabelled)) {
        read_source(source, folder, *file, data);
        return;
      }
      if (labelled) unlabelled = file;
    }
  }
}

// Hugging Face's hub stores splits as parquet, "validation-00000-of-00001.parquet" for one, in the
// task's folder or data/ in it. nullopt if none of the split lies there.
std::optional<fs::path> find_parquet(const fs::path& folder, std::string_view stem) {
  for (const fs::path& place : {folder, folder / "data"}) {
    std::error_code error;
    for (fs::directory_iterator it(place, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (name.ends_with(".parquet") && name.starts_with(stem) &&
          (name[stem.size()] == '-' || name[stem.size()] == '.'))
        return it->path();
    }
  }
  return std::nullopt;
}

// The hint for a split of which only parquet is there; "" if there is none.
std::string parquet_hint(const Dataset& data, const fs::path& root) {
  for (std::string_view name : data.task->folders) {
    const fs::path folder = name.empty() ? root : root / name;
    for (const Source& source : data.task->sources) {
      if (source.split != data.split || !is_jsonl(source)) continue;
      const std::string_view stem = source.file.substr(0, source.file.size() - 6);
      if (const auto found = find_parquet(folder, stem))
        return convert_parquet(*found, folder / source.file);
    }
  }
  return "";
}

[[noreturn]] void refuse_missing(const Dataset& data, const fs::path& root,
                                 const std::vector<std::string>& files, const char* kind) {
  std::vector<std::string> folders;
  for (std::string_view name : data.task->folders)
    folders.push_back(name.empty() ? root.string() : (root / name).string());
  throw MissingData(
      concat(data.task->name, ": no ", kind, name_of(data.split), " data: looked in ",
             join(folders), " for ", join(files),
             " (or one with .xz, .gz or .zst); the data folder holds glue/, sts/, sick/"),
      parquet_hint(data, root));
}

}  // namespace

std::string_view name_of(Split split) {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kTest:
      return "test";
  }
  FATHOM_ASSERT(!"unknown Split");
}

std::string_view name_of(TaskMetric metric) {
  switch (metric) {
    case TaskMetric::kAccuracy:
      return "accuracy";
    case TaskMetric::kF1:
      return "f1";
    case TaskMetric::kMatthews:
      return "matthews";
    case TaskMetric::kPearson:
      return "pearson";
    case TaskMetric::kSpearman:
      return "spearman";
  }
  FATHOM_ASSERT(!"unknown TaskMetric");
}

Split parse_split(std::string_view name) {
  if (name == "train") return Split::kTrain;
  if (name == "validation" || name == "dev") return Split::kValidation;
  if (name == "test") return Split::kTest;
  throw UsageError(concat("split ", name, ": expected train, validation or test"));
}

size_t Task::n_fold() const {
  if (own) return own->n_fold;
  return sources.front().layout == Layout::kTwoFiles ? kFolds : 0;
}

const Task& find_task(std::string_view name) {
  std::vector<std::string> known;
  if (const Task* own = find_own_task(name)) return *own;
  if (name.ends_with(kOwnTaskEnding)) return read_own_task(std::string(name));
  for (const Task& task : tasks()) {
    if (task.name == name) return task;
    known.emplace_back(task.name);
  }
  throw UsageError(concat("task ", name, " is not known: expected one of ", join(known),
                          ", or a file ending in ", kOwnTaskEnding));
}

fs::path find_data_root(const std::string& flag) {
  if (!flag.empty()) {
    fs::path path = flag;
    if (path.extension() == ".parquet" && fs::exists(path)) {
      const std::string name = path.filename().string();
      const std::string stem = name.substr(0, name.find_first_of(".-"));
      throw Error(convert_parquet(path, path.parent_path() / (stem + ".jsonl")) +
                  "; then `data` is its folder");
    }
    FATHOM_REQUIRE(is_folder(path), flag, ": no such data directory",
                   fs::exists(path) ? ", but a file; expected the folder that holds it" : "");
    return path;
  }
  const char* shared = std::getenv("FATHOM_SHARED");
  const bool has_shared = shared != nullptr && *shared != '\0';
  if (has_shared && is_folder(fs::path(shared) / "data")) return fs::path(shared) / "data";
  // Beside the repository, of which the current folder may be any folder.
  std::error_code ignored;
  const fs::path here = fs::current_path(ignored);
  for (fs::path folder = here; folder.has_relative_path(); folder = folder.parent_path())
    if (fs::path data = folder.parent_path() / "shared/data"; is_folder(data)) return data;
  throw Error(concat("no data directory: `data` is not given, ",
                     has_shared ? concat(shared, "/data ($FATHOM_SHARED) is not there")
                                : std::string("$FATHOM_SHARED is not set"),
                     ", and no shared/data lies beside ", here.string(), " or a folder above it"));
}

fs::path find_data_root(std::span<const Task* const> tasks, const std::string& flag) {
  const bool all_own = std::ranges::all_of(tasks, [](const Task* task) { return task->own; });
  return all_own && !tasks.empty() ? fs::path() : find_data_root(flag);
}

Dataset load_dataset(const Task& task, Split split, const fs::path& root) {
  if (task.own) return load_own_rows(task, split);
  Dataset data;
  data.task = &task;
  data.split = split;
  const std::vector<std::string> files = file_names(task, split, true);
  if (files.empty()) throw MissingData(concat(task.name, " has no ", name_of(split), " split"));
  std::optional<fs::path> unlabelled;
  read_first(root, true, data, unlabelled);
  if (!data.pairs.empty()) return data;
  if (unlabelled)
    throw MissingData(concat(unlabelled->string(), ": has no labels; the ", name_of(split),
                             " split of ", task.name, " needs ", join(files, " or ")));
  refuse_missing(data, root, files, "");
}

Dataset load_unlabelled(const Task& task, const fs::path& root) {
  if (task.own) throw MissingData(concat(task.name, " has no test split without labels"));
  Dataset data;
  data.task = &task;
  data.split = Split::kTest;
  const std::vector<std::string> files = file_names(task, Split::kTest, false);
  if (files.empty()) throw MissingData(concat(task.name, " has no test split without labels"));
  std::optional<fs::path> ignored;
  read_first(root, false, data, ignored);
  if (data.pairs.empty()) refuse_missing(data, root, files, "unlabelled ");
  return data;
}

LeftOut& LeftOut::operator+=(const LeftOut& other) {
  const auto add = [](size_t& n, size_t more, std::string& first, const std::string& other_first) {
    if (n == 0) first = other_first;
    n += more;
  };
  add(n_damaged, other.n_damaged, first_damaged, other.first_damaged);
  add(n_empty, other.n_empty, first_empty, other.first_empty);
  add(n_filled, other.n_filled, first_filled, other.first_filled);
  n_unlabelled += other.n_unlabelled;
  n_unscored += other.n_unscored;
  sets_without_gold.insert(sets_without_gold.end(), other.sets_without_gold.begin(),
                           other.sets_without_gold.end());
  return *this;
}

std::string place_of(const Dataset& data, size_t pair) {
  const Pair& p = data.pairs.at(pair);
  return concat(data.files.at(p.file).string(), ":", p.line);
}

std::vector<std::string> notes_of(const Dataset& data) {
  std::vector<std::string> notes = data.notes;
  const LeftOut& out = data.left_out;
  const std::string of = concat(" of ", data.task->name, ", ", name_of(data.split));
  const auto add = [&](size_t n, const char* one, const char* many, const std::string& first) {
    if (n == 0) return;
    notes.push_back(concat(n, n == 1 ? " row" : " rows", of, " ", n == 1 ? one : many,
                           first.empty() ? "" : concat(", the first at ", first)));
  };
  add(out.n_damaged, "is damaged and was left out", "are damaged and were left out",
      out.first_damaged);
  add(out.n_empty, "has an empty sentence and was left out",
      "have an empty sentence and were left out", out.first_empty);
  add(out.n_unlabelled, "has no agreed label and was left out",
      "have no agreed label and were left out", "");
  add(out.n_filled, "has an empty sentence, read as '.'", "have an empty sentence, read as '.'",
      out.first_filled);
  for (const std::string& set : out.sets_without_gold)
    notes.push_back(
        concat("the set ", set, of, " has no gold value at all and is not in the mean of sets"));
  if (data.quoted)
    notes.push_back(
        concat(data.files.back().string(), ": fields in quotes were read as CSV has them"));
  return notes;
}

Dataset sample(const Dataset& data, size_t n, uint64_t seed) {
  const size_t size = data.pairs.size();
  FATHOM_REQUIRE(n >= 1 && n <= size, "a sample of ", n, ": expected 1 to ", size, " rows");
  std::vector<size_t> rows(size);
  std::iota(rows.begin(), rows.end(), size_t{0});
  Random random(seed);
  for (size_t i = 0; i < n; ++i) std::swap(rows[i], rows[i + random.below(size - i)]);
  rows.resize(n);
  std::sort(rows.begin(), rows.end());
  Dataset out{data.task,  data.split,    {},          data.parts,
              data.files, data.left_out, data.quoted, data.notes};
  for (size_t row : rows) out.pairs.push_back(data.pairs[row]);
  return out;
}

void require_every_class(const Dataset& train) {
  const size_t n_class = train.task->n_class();
  if (n_class == 1) return;
  std::vector<size_t> count(n_class);
  for (const Pair& pair : train.pairs) ++count.at(static_cast<size_t>(pair.gold));
  std::string files;
  for (const fs::path& file : train.files)
    files += concat(files.empty() ? "" : ", ", file.string());
  for (size_t k = 0; k < n_class; ++k)
    FATHOM_REQUIRE(count[k] > 0, files, ": no row of class ", k, " (", train.task->name, " has ",
                   n_class, " classes) among ", train.pairs.size(),
                   "; a head can be fitted to rows of every class alone");
}

}  // namespace fathom
