// SPDX-License-Identifier: Apache-2.0
// Sentence-pair data sets: which tasks there are, where their files lie and what they hold.
//
// A task is a row of one table (dataset_tasks.cc): its name, the folders and files in which it is
// published and the columns that matter. Readers take the files as they are distributed: quotes,
// a byte-order mark, CR LF, a missing last newline and invalid UTF-8 are data, not syntax; NAME.xz
// is read wherever NAME would be.
//
// All functions may be called from many threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

enum class Split : uint8_t { kTrain, kValidation, kTest };

std::string_view name_of(Split split);  // "train", "validation", "test"
// Also takes "dev" for validation. Throws UsageError for any other name.
Split parse_split(std::string_view name);

enum class Gold : uint8_t {
  kLabel,  // 0 or 1; 1 = the sentences mean the same
  kScore,  // graded similarity, Task::lowest .. Task::highest
};

// How a split is published.
enum class Layout : uint8_t {
  kTsv,            // a header line names the columns
  kTsvNoHeader,    // columns are known by their number, from 1
  kTsvWithoutIds,  // kTsv, less the rows whose two ids are listed in dev_ids.tsv
  kTsvOnlyIds,     // kTsv, only those rows
  kJsonl,          // one JSON object a line
  kStsSets,        // STS.input.SET.txt and STS.gs.SET.txt for each of Task::sets
  kUnlabelled,     // without labels: known only to say so
};

struct Source {
  Split split;
  Layout layout;
  std::string_view file;  // relative to the task's folder; kStsSets: the first file of the set
  std::string_view a, b, gold;            // columns, or fields of the objects
  std::string_view id_a = {}, id_b = {};  // columns that dev_ids.tsv refers to
};

struct Task {
  std::string_view name;   // "mrpc", as given on the command line
  std::string_view title;  // for reports
  Gold gold;
  double lowest, highest;                     // range of the gold value
  std::span<const std::string_view> folders;  // relative to the data root, to its glue/, sts/, …
  std::span<const Source> sources;            // the first of a split that exists is read
  std::span<const std::string_view> sets = {};  // of an STS year, in the order of reports
};

// The table, in the order of reports.
std::span<const Task> tasks();
// Throws UsageError that lists the known names.
const Task& find_task(std::string_view name);

struct Pair {
  std::string a;
  std::string b;
  double gold = 0;
  uint32_t row = 0;   // 0-based, in the whole split as published; kept by sample()
  uint32_t part = 0;  // index in Dataset::parts

  bool operator==(const Pair&) const = default;
};

struct Dataset {
  const Task* task = nullptr;
  Split split = Split::kTrain;
  std::vector<Pair> pairs;                   // in the order of the files
  std::vector<std::string> parts;            // the sets of an STS year; otherwise the task's name
  std::vector<std::filesystem::path> files;  // what was read
};

// The directory that holds glue/, sts/, senteval/ and sick/: `flag` if not empty, else
// $FATHOM_SHARED/data, else ../shared/data from the repository, of which the current directory may
// be any folder. Throws Error that names the places looked at.
std::filesystem::path find_data_root(const std::string& flag);

// Reads one split. `root` is the data root, its glue/ (sts/, …) or the task's own folder. Throws
// Error: nothing found (naming every place looked at), only unlabelled data, a missing column, a
// bad label, a row that does not fit (naming file, line and what was expected).
Dataset load_dataset(const Task& task, Split split, const std::filesystem::path& root);

// n of the pairs, drawn without replacement, in their old order. The rows depend on the number of
// pairs, n and the seed alone: Random(seed), then for i = 0 .. n-1 the element at i changes places
// with the one at i + below(size - i); the first n are taken. Throws Error if n is 0 or larger than
// the data set.
Dataset sample(const Dataset& data, size_t n, uint64_t seed);

}  // namespace fathom
