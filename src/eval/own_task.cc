// SPDX-License-Identifier: Apache-2.0
#include "eval/own_task.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/list.h"
#include "eval/dataset_values.h"
#include "probe/folds.h"
#include "text/text_columns.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDefaultFolds = 5, kScoreBins = 5, kMostClasses = 1000;

// A task with what its views point to.
struct Entry {
  std::string key, name, title;
  std::vector<std::string> labels;
  std::vector<std::string_view> label_views;
  std::vector<TaskMetric> metrics;
  OwnRows own;
  Task task;
};

struct Registry {
  std::mutex mutex;
  std::deque<Entry> entries;  // addresses stay
};
Registry& registry() {
  static Registry all;
  return all;
}

bool is_pair(const OwnTaskSpec& spec) { return spec.text.empty(); }

void check(const OwnTaskSpec& spec) {
  if (spec.file.empty()) throw InvalidOption("task_file", "a table of texts");
  const bool pair = !spec.text1.empty() || !spec.text2.empty();
  if (spec.text.empty() == !pair || (pair && (spec.text1.empty() || spec.text2.empty())))
    throw InvalidOption(
        "text", "the column of sentences, or `text1` and `text2` for pairs", {},
        concat(spec.file, " has the columns ", join(column_names(TextFile(spec.file)))));
  if (spec.label.empty() == spec.score.empty())
    throw InvalidOption(
        "label", "the column of classes, or `score` with that of numbers", {},
        concat(spec.file, " has the columns ", join(column_names(TextFile(spec.file)))));
  if (!spec.score.empty() && !pair)
    throw InvalidOption("score", "`text1` and `text2` beside it", {},
                        "scores are of pairs of texts");
  if (spec.folds == 1) throw InvalidOption("folds", "2 or more", "1");
  if (spec.folds > 0 && !spec.test_file.empty())
    throw InvalidOption("folds", "no `test_file` beside it", std::to_string(spec.folds));
}

// Rows of one file; gold of a class is its place in `golds` for now.
struct RawRows {
  std::vector<Pair> pairs;
  std::vector<std::string> golds;
};

RawRows read_rows(const OwnTaskSpec& spec, const std::string& path, OwnRows& own) {
  std::vector<std::string> wanted = {is_pair(spec) ? spec.text1 : spec.text};
  if (is_pair(spec)) wanted.push_back(spec.text2);
  wanted.push_back(spec.label.empty() ? spec.score : spec.label);
  const TextFile file(path);
  TextColumns table = read_columns(file, wanted);
  const auto index = static_cast<uint32_t>(own.files.size());
  own.files.push_back(file.path());
  RawRows out;
  for (size_t i = 0; i < table.line.size(); ++i) {
    Pair pair;
    pair.a = std::move(table.values[0][i]);
    if (is_pair(spec)) pair.b = std::move(table.values[1][i]);
    pair.file = index;
    pair.line = static_cast<uint32_t>(table.line[i]);
    std::string& gold = table.values.back()[i];
    if (is_blank(pair.a) || (is_pair(spec) && is_blank(pair.b))) {
      if (own.left_out.n_empty++ == 0) own.left_out.first_empty = table.place(i);
      continue;
    }
    if (is_blank(gold)) {
      ++own.left_out.n_unlabelled;
      continue;
    }
    if (!spec.score.empty() &&
        (!read_number(std::string_view(gold), pair.gold) || !std::isfinite(pair.gold)))
      throw Error(
          concat(table.place(i), ": expected a number in '", spec.score, "', got '", gold, "'"));
    out.pairs.push_back(std::move(pair));
    out.golds.push_back(std::move(gold));
  }
  FATHOM_REQUIRE(!out.pairs.empty(), path, ": no row with a text and a ",
                 spec.label.empty() ? "score" : "label");
  return out;
}

// Class names in order: numbers by size, others by name.
std::vector<std::string> classes_of(const OwnTaskSpec& spec,
                                    const std::vector<std::string>& golds) {
  const std::set<std::string> distinct(golds.begin(), golds.end());
  std::vector<std::string> labels(distinct.begin(), distinct.end());
  const auto number = [](const std::string& text) {
    double value = 0;
    return read_number(std::string_view(text), value) ? value : std::nan("");
  };
  if (std::ranges::none_of(labels, [&](const auto& l) { return std::isnan(number(l)); }))
    std::ranges::sort(labels, {}, number);
  FATHOM_REQUIRE(labels.size() >= 2, spec.file, ": every row has the label '", labels.front(),
                 "'; expected two classes at least");
  FATHOM_REQUIRE(labels.size() <= kMostClasses && 2 * labels.size() <= golds.size(), spec.file,
                 ": '", spec.label, "' has ", labels.size(), " values in ", golds.size(),
                 " rows; expected classes of two rows or more",
                 is_pair(spec) ? " (numbers are given as `score`)" : "");
  if (spec.positive.empty()) return labels;
  const auto at = std::ranges::find(labels, spec.positive);
  if (labels.size() != 2 || at == labels.end())
    throw InvalidOption("positive", concat("one of two classes: ", join(labels)), spec.positive);
  std::iter_swap(at, labels.end() - 1);
  return labels;
}

void set_classes(const OwnTaskSpec& spec, RawRows& rows, Entry& entry) {
  entry.labels = classes_of(spec, rows.golds);
  std::vector<size_t> count(entry.labels.size());
  for (size_t i = 0; i < rows.pairs.size(); ++i) {
    const auto at = std::ranges::find(entry.labels, rows.golds[i]);
    const auto k = static_cast<size_t>(at - entry.labels.begin());
    rows.pairs[i].gold = static_cast<double>(k);
    ++count[k];
  }
  for (size_t k = 0; k < count.size(); ++k)
    FATHOM_REQUIRE(count[k] >= 2, spec.file, ": the class '", entry.labels[k],
                   "' has a single row; expected two at least");
}

// The strata that a split keeps alike: classes, or fifths of the scores by size.
std::vector<uint32_t> strata_of(const std::vector<Pair>& rows, bool score) {
  std::vector<uint32_t> strata;
  std::vector<double> sorted;
  for (const Pair& row : rows) sorted.push_back(row.gold);
  std::ranges::sort(sorted);
  for (const Pair& row : rows) {
    const auto rank =
        static_cast<size_t>(std::ranges::lower_bound(sorted, row.gold) - sorted.begin());
    strata.push_back(static_cast<uint32_t>(score ? rank * kScoreBins / rows.size()
                                                 : static_cast<size_t>(row.gold)));
  }
  return strata;
}

std::vector<TaskMetric> metrics_of(const OwnTaskSpec& spec, size_t n_class) {
  using enum TaskMetric;
  std::vector<TaskMetric> all = n_class == 0   ? std::vector{kSpearman, kPearson}
                                : n_class == 2 ? std::vector{kAccuracy, kF1, kMatthews}
                                               : std::vector{kAccuracy, kMatthews};
  if (spec.metric.empty()) return all;
  const auto at = std::ranges::find(all, spec.metric, [](TaskMetric m) { return name_of(m); });
  if (at == all.end()) {
    std::vector<std::string_view> names;
    for (TaskMetric m : all) names.push_back(name_of(m));
    throw InvalidOption("metric", concat("one of ", join(names)), spec.metric);
  }
  std::rotate(all.begin(), at, at + 1);
  return all;
}

// A name that is none of the table, and of a file system.
std::string name_for(const OwnTaskSpec& spec, const std::deque<Entry>& entries) {
  std::string name = fs::path(spec.file).filename().string();
  name = name.substr(0, name.find('.', 1));
  for (char& c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
      c = '-';
  const auto taken = [&](const std::string& n) {
    return std::ranges::any_of(tasks(), [&](const Task& t) { return t.name == n; }) ||
           std::ranges::any_of(entries, [&](const Entry& e) { return e.name == n; });
  };
  std::string free = name;
  for (size_t i = 2; taken(free); ++i) free = concat(name, "-", i);
  return free;
}

void split_rows(const OwnTaskSpec& spec, size_t n_first, OwnRows& own, bool score) {
  const size_t n = own.rows.size();
  if (!spec.test_file.empty()) {
    own.fold.assign(n_first, 1);
    own.fold.resize(n, 0);
    own.notes.push_back(concat(spec.test_file, ": ", n - n_first, " rows, the test split; ",
                               spec.file, ": ", n_first, " to fit on"));
    return;
  }
  const size_t n_fold = spec.folds ? spec.folds : kDefaultFolds;
  FATHOM_REQUIRE(n >= 2 * n_fold, spec.file, ": ", n, " rows; expected ", 2 * n_fold,
                 " at least for ", n_fold, " folds");
  own.fold = assign_folds(strata_of(own.rows, score), n_fold, spec.seed);
  const auto n_test = std::ranges::count(own.fold, 0u);
  own.notes.push_back(concat(spec.file, ": ", n, " rows; ", n_test,
                             " of them are the test split (stratified by ",
                             score ? "score" : "class", ", seed ", spec.seed, ")"));
}

void make(const OwnTaskSpec& spec, Entry& entry) {
  OwnRows& own = entry.own;
  own.spec = spec;
  own.n_fold = spec.folds;
  RawRows rows = read_rows(spec, spec.file, own);
  const size_t n_first = rows.pairs.size();
  if (!spec.test_file.empty()) {
    RawRows more = read_rows(spec, spec.test_file, own);
    std::ranges::move(more.pairs, std::back_inserter(rows.pairs));
    std::ranges::move(more.golds, std::back_inserter(rows.golds));
  }
  const bool score = !spec.score.empty();
  if (!score) set_classes(spec, rows, entry);
  own.rows = std::move(rows.pairs);
  for (size_t i = 0; i < own.rows.size(); ++i) own.rows[i].row = static_cast<uint32_t>(i);
  split_rows(spec, n_first, own, score);
  entry.metrics = metrics_of(spec, entry.labels.size());
}

// Behind make(): what the task's views point to no longer moves.
void describe_task(Entry& entry) {
  const OwnTaskSpec& spec = entry.own.spec;
  const auto [low, high] = std::ranges::minmax_element(entry.own.rows, {}, &Pair::gold);
  entry.label_views.assign(entry.labels.begin(), entry.labels.end());
  const size_t n_class = entry.labels.size();
  Task& task = entry.task;
  task.name = entry.name;
  task.title = entry.title;
  task.gold = n_class == 0 ? Gold::kScore : n_class == 2 ? Gold::kLabel : Gold::kClass;
  task.features = !is_pair(spec) ? FeatureKind::kPooled
                  : n_class > 2  ? FeatureKind::kOrderedPair
                                 : FeatureKind::kSymmetricPair;
  task.labels = entry.label_views;
  task.lowest = low->gold;
  task.highest = high->gold;
  task.metrics = entry.metrics;
  task.report = Split::kTest;
  task.own = &entry.own;
}

Dataset start_dataset(const Task& task, Split split) {
  Dataset data;
  data.task = &task;
  data.split = split;
  data.parts = {std::string(task.name)};
  data.files = task.own->files;
  return data;
}

}  // namespace

const Task& make_own_task(const OwnTaskSpec& spec) {
  check(spec);
  std::string key = dump_json(to_json(spec));
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  for (const Entry& entry : all.entries)
    if (entry.key == key) return entry.task;
  Entry made{};
  make(spec, made);
  made.key = std::move(key);
  made.name = name_for(spec, all.entries);
  made.title = spec.title.empty() ? fs::path(spec.file).filename().string() : spec.title;
  all.entries.push_back(std::move(made));
  describe_task(all.entries.back());
  return all.entries.back().task;
}

const Task& read_own_task(const fs::path& path) {
  const std::string name = path.string();
  const Json j = parse_json(read_text_file(path), name);
  FATHOM_REQUIRE(j.is_object(), name, ": expected a JSON object");
  OwnTaskSpec spec;
  const std::vector<std::pair<const char*, std::string*>> texts = {
      {"file", &spec.file},    {"test_file", &spec.test_file}, {"title", &spec.title},
      {"text", &spec.text},    {"text1", &spec.text1},         {"text2", &spec.text2},
      {"label", &spec.label},  {"score", &spec.score},         {"positive", &spec.positive},
      {"metric", &spec.metric}};
  for (const auto& [key, value] : j.items()) {
    const auto at =
        std::ranges::find_if(texts, [&, k = key](const auto& t) { return k == t.first; });
    if (at != texts.end() && value.is_string())
      *at->second = value.get<std::string>();
    else if (key == "folds" && value.is_number_unsigned())
      spec.folds = value.get<size_t>();
    else if (key == "seed" && value.is_number_unsigned())
      spec.seed = value.get<uint64_t>();
    else if (at != texts.end() || key == "folds" || key == "seed")
      throw Error(concat(name, ": ", key, ": expected a ",
                         at != texts.end() ? "text" : "whole number", ", got ", dump_json(value)));
    else
      throw Error(concat(name, ": unknown field '", key,
                         "'; expected file, test_file, title, text, text1, text2, label, score, "
                         "positive, metric, folds or seed"));
  }
  FATHOM_REQUIRE(!spec.file.empty(), name, ": no field 'file'");
  for (std::string* file : {&spec.file, &spec.test_file})
    if (!file->empty()) *file = (path.parent_path() / *file).string();
  return make_own_task(spec);
}

OrderedJson to_json(const OwnTaskSpec& spec) {
  OrderedJson j;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) j[name] = value;
  };
  add("title", spec.title);
  add("file", spec.file);
  add("test_file", spec.test_file);
  add("text", spec.text);
  add("text1", spec.text1);
  add("text2", spec.text2);
  add("label", spec.label);
  add("score", spec.score);
  add("positive", spec.positive);
  add("metric", spec.metric);
  if (spec.folds) j["folds"] = spec.folds;
  j["seed"] = spec.seed;
  return j;
}

const Task* find_own_task(std::string_view name) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  for (const Entry& entry : all.entries)
    if (entry.name == name) return &entry.task;
  return nullptr;
}

Dataset load_own_rows(const Task& task, Split split) {
  if (split == Split::kValidation)
    throw MissingData(concat(task.name, " has no validation split, but train and test"));
  const OwnRows& own = *task.own;
  Dataset data = start_dataset(task, split);
  for (size_t i = 0; i < own.rows.size(); ++i)
    if ((own.fold[i] == 0) == (split == Split::kTest)) data.pairs.push_back(own.rows[i]);
  if (split == Split::kTest) {
    data.notes = own.notes;
  } else {
    data.left_out = own.left_out;  // of both files; told once
  }
  return data;
}

Dataset load_own_whole(const Task& task, size_t n_fold, std::vector<uint32_t>& fold) {
  const OwnRows& own = *task.own;
  Dataset data = start_dataset(task, Split::kTest);
  data.pairs = own.rows;
  data.left_out = own.left_out;
  if (own.n_fold > 0) n_fold = own.n_fold;
  fold = assign_folds(strata_of(own.rows, task.gold == Gold::kScore), n_fold, own.spec.seed);
  return data;
}

}  // namespace fathom
