// SPDX-License-Identifier: Apache-2.0
// Labelled sentences and sentence pairs: which tasks there are, where their files lie and what they
// hold.
//
// A task is a row of one table (dataset_tasks.cc): its name, the folders and files in which it is
// published, the columns that matter and what it is scored by. Readers take the files as they are
// distributed: quotes, a byte-order mark, CR LF, a missing last newline and invalid UTF-8 are data,
// not syntax; NAME.xz, .gz or .zst is read wherever NAME would be. Quoted fields are read where a
// file has them: its header is quoted, or it is Quora's own (Quoting).
//
// All functions may be called from many threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "probe/features.h"

namespace fathom {

enum class Split : uint8_t { kTrain, kValidation, kTest };

std::string_view name_of(Split split);  // "train", "validation", "test"
// Also takes "dev" for validation. Throws UsageError for any other name.
Split parse_split(std::string_view name);

enum class Gold : uint8_t {
  kLabel,  // 0 or 1, two classes; of a pair 1 = the sentences mean the same, or one entails the other
  kScore,  // graded similarity, Task::lowest .. Task::highest
  kClass,  // 0 .. labels.size() - 1, three classes or more
};

// What a task is officially scored by.
enum class TaskMetric : uint8_t { kAccuracy, kF1, kMatthews, kPearson, kSpearman };
std::string_view name_of(TaskMetric metric);  // "accuracy", "f1", "matthews", ...

// How a split is published.
enum class Layout : uint8_t {
  kTsv,            // a header line names the columns
  kTsvNoHeader,    // columns are known by their number, from 1
  kTsvWithoutIds,  // kTsv, less the rows whose two ids are listed in dev_ids.tsv
  kTsvOnlyIds,     // kTsv, only those rows
  kJsonl,          // one JSON object a line
  kLines,       // three files with a line for each pair: `file` the labels, `a` and `b` the texts
  kTwoFiles,    // a sentence a line: `file` those of class 1, `a` those of class 0; cut into folds
  kLabelFirst,  // a line is the label, a space and the sentence; of "NUM:dist" the part before ':'
  kStsSets,     // STS.input.SET.txt and STS.gs.SET.txt for each of Task::sets
  kUnlabelled,  // kTsv or, if its name says so, kJsonl without gold values
};

// Whether fields in quotes are syntax (tsv.h). A quoted header says so for any file with one.
enum class Quoting : uint8_t {
  kPlain,   // a quote is a character like any other: GLUE's and SentEval's files
  kQuoted,  // Quora's own file
  // One that may be Quora's own under another name, with the same header as GLUE's: its ids count
  // from 0, or a plain reading has more than kMaxDamaged damaged rows and a quoted one has not.
  kByContent,
};

struct Source {
  Split split;
  Layout layout;
  std::string_view file;  // relative to the task's folder; kStsSets: the first file of the set
  std::string_view a, b, gold;            // columns, fields or files; b is "" for single sentences
  std::string_view id_a = {}, id_b = {};  // columns that dev_ids.tsv refers to
  // What a label that is a number stands for, as one of Task::labels; "": such rows are left out.
  // Without it labels stand for themselves.
  std::span<const std::string_view> labels = {};
  // The file is known to have rows that are damaged or without an agreed label: they are counted
  // and left out; more than kMaxDamaged of them damaged is an error. Elsewhere they are errors.
  bool skips = false;
  Quoting quoting = Quoting::kPlain;
};
inline constexpr double kMaxDamaged = 0.01;

struct OwnRows;  // own_task.h

struct Task {
  std::string_view name;   // "mrpc", as given on the command line
  std::string_view title;  // for reports
  Gold gold;
  FeatureKind features;                       // what a head gets to see
  std::span<const std::string_view> labels;   // of the classes; empty for scores
  double lowest, highest;                     // range of the gold value
  std::span<const TaskMetric> metrics;        // the first one leads
  std::span<const std::string_view> folders;  // relative to the data root, to its glue/, sts/, …
  std::span<const Source> sources;            // the first of a split that exists is read
  std::span<const std::string_view> sets = {};  // of an STS year, in the order of reports
  Split report = Split::kValidation;            // the split that figures are given for
  std::string_view submission = {};             // the file that GLUE's server wants, "" without
  bool for_show = false;  // samples/ of this project: no figure counts, and "all" leaves it out
  const OwnRows* own =
      nullptr;  // a user's task, whose rows are in memory; nullptr: one of the table

  bool is_pair() const { return takes_pair(features); }
  size_t n_class() const { return gold == Gold::kScore ? 1 : labels.size(); }
  // Whether the cosine of two vectors is an answer by itself.
  bool is_zero_shot() const { return is_pair() && gold != Gold::kClass; }
  // Published without splits: validation is one of kFolds seeded folds, train the other nine.
  bool has_folds() const { return n_fold() > 0; }
  // Of a user's task as many as were asked for; else kFolds or, where there are splits, 0.
  size_t n_fold() const;
};
inline constexpr size_t kFolds = 10;

// The table, in the order of reports.
std::span<const Task> tasks();
// A name of the table, of a user's task that was made before, or the file of one, NAME.task.json
// (own_task.h). Throws UsageError that lists the known names; Error as read_own_task().
const Task& find_task(std::string_view name);

// A pair, or a single sentence with b empty.
struct Pair {
  std::string a;
  std::string b;
  double gold = 0;    // score or class; NaN if not published
  uint32_t row = 0;   // 0-based, in the whole split as published; kept by sample()
  uint32_t part = 0;  // index in Dataset::parts
  // Where it stands: an index in Dataset::files and a line from 1; 0 if nothing was read.
  uint32_t file = 0, line = 0;

  // The same row, wherever it stands.
  bool operator==(const Pair& other) const {
    return a == other.a && b == other.b && gold == other.gold && row == other.row &&
           part == other.part;
  }
};

// Rows that were not taken as they are, by kind. The first of a kind as "FILE:LINE".
struct LeftOut {
  size_t n_damaged = 0;     // another number of columns than the header (Source::skips)
  size_t n_unlabelled = 0;  // no agreed label (Source::skips)
  size_t n_empty = 0;       // a sentence of nothing but blanks
  size_t n_unscored = 0;    // pairs of an STS set with an empty gold line
  // Not left out, for every row needs an answer: rows without gold values whose empty sentence is
  // read as ".".
  size_t n_filled = 0;
  std::string first_damaged, first_empty, first_filled;
  std::vector<std::string> sets_without_gold;  // STS: they are not in the mean of sets

  size_t total() const { return n_damaged + n_unlabelled + n_empty; }
  LeftOut& operator+=(const LeftOut& other);
};

struct Dataset {
  const Task* task = nullptr;
  Split split = Split::kTrain;
  std::vector<Pair> pairs;                   // in the order of the files
  std::vector<std::string> parts;            // the sets of an STS year; otherwise the task's name
  std::vector<std::filesystem::path> files;  // what was read
  LeftOut left_out = {};
  bool quoted = false;                  // fields in quotes were read as such
  std::vector<std::string> notes = {};  // how a user's rows were split
};

// "FILE:LINE" of a pair, for messages.
std::string place_of(const Dataset& data, size_t pair);
// What a reader of figures must know of how the split was read, a sentence each.
std::vector<std::string> notes_of(const Dataset& data);

// A split that is not there, as opposed to one that cannot be read.
class MissingData : public Error {
 public:
  explicit MissingData(const std::string& what, std::string hint = {})
      : Error(hint.empty() ? what : concat(what, "; ", hint)), hint_(std::move(hint)) {}
  // How what lies there instead can be used; "" if nothing does.
  const std::string& hint() const { return hint_; }

 private:
  std::string hint_;
};

// The directory that holds glue/, sts/, senteval/ and sick/: `flag` if not empty, else
// $FATHOM_SHARED/data, else ../shared/data from the repository, of which the current directory may
// be any folder. Throws Error that names the places looked at.
std::filesystem::path find_data_root(const std::string& flag);
// The same for these tasks: "" where they are all a user's own, which need no such folder.
std::filesystem::path find_data_root(std::span<const Task* const> tasks, const std::string& flag);

// Reads one split. `root` is the data root, its glue/ (sts/, …) or the task's own folder. Throws
// MissingData: nothing found (naming every place looked at) or only unlabelled data; Error: a
// missing column, a bad label, a row that does not fit (naming file, line and what was expected).
Dataset load_dataset(const Task& task, Split split, const std::filesystem::path& root);

// The rows of the test split whose gold values are hidden, for a submission; gold is NaN. Throws as
// load_dataset() does.
Dataset load_unlabelled(const Task& task, const std::filesystem::path& root);

// n of the pairs, drawn without replacement, in their old order. The rows depend on the number of
// pairs, n and the seed alone: Random(seed), then for i = 0 .. n-1 the element at i changes places
// with the one at i + below(size - i); the first n are taken. Throws Error if n is 0 or larger than
// the data set.
Dataset sample(const Dataset& data, size_t n, uint64_t seed);

// Throws Error, naming the files, if a class of the task has no row: no head can be fitted to it.
void require_every_class(const Dataset& train);

}  // namespace fathom
