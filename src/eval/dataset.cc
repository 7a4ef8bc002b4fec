// SPDX-License-Identifier: Apache-2.0
#include "eval/dataset.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "eval/dataset_reader.h"
#include "text/text_file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIdsFile = "dev_ids.tsv";

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string join(const std::vector<std::string>& parts, std::string_view between) {
  std::string out;
  for (const std::string& part : parts) out.append(out.empty() ? "" : between).append(part);
  return out;
}

std::string read(const fs::path& path, Dataset& data) {
  const TextFile file(path);
  data.files.push_back(file.path());
  return std::string(file.text());
}

void read_sts_sets(const fs::path& folder, Dataset& data) {
  for (std::string_view set : data.task->sets) {
    const fs::path input = folder / concat("STS.input.", set, ".txt");
    const fs::path gold = folder / concat("STS.gs.", set, ".txt");
    const std::string input_text = read(input, data), gold_text = read(gold, data);
    for (Pair& pair :
         parse_sts_set(input_text, input.string(), gold_text, gold.string(), *data.task)) {
      pair.row = static_cast<uint32_t>(data.pairs.size());
      pair.part = static_cast<uint32_t>(data.parts.size());
      data.pairs.push_back(std::move(pair));
    }
    data.parts.emplace_back(set);
  }
}

// `file` is the one of source.file that exists.
void read_source(const Source& source, const fs::path& folder, const fs::path& file,
                 Dataset& data) {
  if (source.layout == Layout::kStsSets) {
    read_sts_sets(folder, data);
    return;
  }
  data.parts = {std::string(data.task->name)};
  std::optional<IdPairs> ids;
  if (source.layout == Layout::kTsvWithoutIds || source.layout == Layout::kTsvOnlyIds) {
    const std::optional<fs::path> ids_file = find_text_file(folder / kIdsFile);
    FATHOM_REQUIRE(ids_file, file.string(), ": without ", kIdsFile,
                   " beside it, its rows cannot be told into train and validation");
    ids = parse_id_pairs(read(*ids_file, data), ids_file->string());
  }
  const std::string text = read(file, data);
  data.pairs = source.layout == Layout::kJsonl
                   ? parse_jsonl(text, file.string(), *data.task, source)
                   : parse_tsv(text, file.string(), *data.task, source, ids ? &*ids : nullptr);
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

Split parse_split(std::string_view name) {
  if (name == "train") return Split::kTrain;
  if (name == "validation" || name == "dev") return Split::kValidation;
  if (name == "test") return Split::kTest;
  throw UsageError(concat("split ", name, ": expected train, validation or test"));
}

const Task& find_task(std::string_view name) {
  std::vector<std::string> known;
  for (const Task& task : tasks()) {
    if (task.name == name) return task;
    known.emplace_back(task.name);
  }
  throw UsageError(concat("task ", name, " is not known: expected one of ", join(known, ", ")));
}

fs::path find_data_root(const std::string& flag) {
  if (!flag.empty()) {
    FATHOM_REQUIRE(is_folder(flag), flag, ": no such data directory");
    return flag;
  }
  const char* shared = std::getenv("FATHOM_SHARED");
  const bool has_shared = shared != nullptr && *shared != '\0';
  if (has_shared && is_folder(fs::path(shared) / "data")) return fs::path(shared) / "data";
  // Beside the repository, of which the current folder may be any folder.
  std::error_code ignored;
  const fs::path here = fs::current_path(ignored);
  for (fs::path folder = here; folder.has_relative_path(); folder = folder.parent_path())
    if (const fs::path data = folder.parent_path() / "shared/data"; is_folder(data)) return data;
  throw Error(concat("no data directory: --data is not given, ",
                     has_shared ? concat(shared, "/data ($FATHOM_SHARED) is not there")
                                : std::string("$FATHOM_SHARED is not set"),
                     ", and no shared/data lies beside ", here.string(), " or a folder above it"));
}

Dataset load_dataset(const Task& task, Split split, const fs::path& root) {
  Dataset data;
  data.task = &task;
  data.split = split;
  std::vector<std::string> folders, files;
  std::optional<fs::path> unlabelled;
  for (const Source& source : task.sources)
    if (source.split == split && source.layout != Layout::kUnlabelled)
      files.emplace_back(source.file);
  FATHOM_REQUIRE(!files.empty(), task.name, " has no ", name_of(split), " split");
  for (std::string_view name : task.folders) {
    const fs::path folder = name.empty() ? root : root / name;
    folders.push_back(folder.string());
    for (const Source& source : task.sources) {
      if (source.split != split) continue;
      const std::optional<fs::path> file = find_text_file(folder / source.file);
      if (!file) continue;
      if (source.layout == Layout::kUnlabelled) {
        unlabelled = file;
        continue;
      }
      read_source(source, folder, *file, data);
      FATHOM_REQUIRE(!data.pairs.empty(), file->string(), ": no rows");
      return data;
    }
  }
  FATHOM_REQUIRE(!unlabelled, unlabelled->string(), ": has no labels; the ", name_of(split),
                 " split of ", task.name, " needs ", join(files, " or "));
  throw Error(concat(task.name, ": no ", name_of(split), " data: looked in ", join(folders, ", "),
                     " for ", join(files, ", "), " (or one with .xz)"));
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
  Dataset out{data.task, data.split, {}, data.parts, data.files};
  for (size_t row : rows) out.pairs.push_back(data.pairs[row]);
  return out;
}

}  // namespace fathom
