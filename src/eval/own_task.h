// SPDX-License-Identifier: Apache-2.0
// A user's own task: a table of texts with labels or scores becomes a Task beside those of the table,
// so that whatever takes a task takes this one, too.
//
//   const Task& task = make_own_task({.file = "reviews.csv", .text = "text", .label = "label"});
//   load_dataset(task, Split::kTrain, "");
//
// Rows are read when the task is made and stay in memory, and so does the task, to the end of the
// program. All functions may be called from many threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/dataset.h"

namespace fathom {

inline constexpr std::string_view kOwnTaskEnding = ".task.json";
// Rows below which figures of a split of one fifth say little.
inline constexpr size_t kSmallTask = 500;

struct OwnTaskSpec {
  std::string file = {};               // CSV, TSV or JSON lines, as read_columns() takes them
  std::string test_file = {};          // rows that figures are of; "": they are drawn from `file`
  std::string title = {};              // "": the file's name
  std::string text = {};               // column of single sentences, or
  std::string text1 = {}, text2 = {};  // columns of pairs
  std::string label = {}, score = {};  // column of class names, or of numbers
  std::string positive = {};  // of two classes the one that is 1; "": the later one by name
  std::string metric = {};    // the one that leads, as name_of(TaskMetric); "": by kind
  size_t folds = 0;           // one of so many, stratified, is the test split [5]; heads are also
                              // judged by cross-validation over all of them; 0: not asked for
  uint64_t seed = 1;          // of the split
};

// What a user's task holds.
struct OwnRows {
  OwnTaskSpec spec;
  std::vector<Pair> rows;                    // of both files
  std::vector<uint32_t> fold;                // (n_row) 0: test
  std::vector<std::filesystem::path> files;  // what was read
  LeftOut left_out = {};
  std::vector<std::string> notes;  // how it was split
  size_t n_fold = 0;               // spec.folds
};

// Classes are the values of `label`: numbers by size, else by name; two are a binary task, more have
// classes. The range of a score is that of the rows. The test split is `test_file`, or a fold of the
// rows, drawn by the seed from every class (of scores: every fifth of them by size) alike. The same
// spec gives the same task. Throws InvalidOption for fields that do not go together and a metric that
// is none of its kind; Error naming file and line: a column that is not there, a score that is no
// number, a class of one row, fewer than two classes, fewer rows than folds.
// The task lives as long as the program; g++ 14 warns of a reference into spec otherwise.
#if __has_cpp_attribute(gnu::no_dangling)
[[gnu::no_dangling]]
#endif
const Task&
make_own_task(const OwnTaskSpec& spec);

// NAME.task.json: the fields of OwnTaskSpec by name, files as seen from its folder. Throws Error
// naming the file and the field.
const Task& read_own_task(const std::filesystem::path& path);
OrderedJson to_json(const OwnTaskSpec& spec);

// By its name; nullptr if none was made.
const Task* find_own_task(std::string_view name);

// Train and test of a user's task. Throws MissingData for validation.
Dataset load_own_rows(const Task& task, Split split);
// All rows as one data set, whatever split they are in, and the fold of each for n_fold folds, the
// user's number or, of 0, this one.
Dataset load_own_whole(const Task& task, size_t n_fold, std::vector<uint32_t>& fold);

}  // namespace fathom
