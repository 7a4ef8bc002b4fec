// SPDX-License-Identifier: Apache-2.0
// Measures how fast a model embeds on this machine, for every requested dtype, number of threads
// and workload.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "encode/open_model.h"
#include "eval/bench.h"
#include "study/listener.h"

namespace fathom {

// Sequences of a user's beside the packed ones.
struct BenchFile {
  std::string name;
  std::vector<std::string> texts = {};       // or
  std::vector<std::vector<Token>> ids = {};  // none of them empty
};

struct BenchPlan {
  // Which model; of its options the dtype and the threads are those below.
  OpenOptions open;
  std::vector<std::optional<Compute>> dtypes = {};  // as ModelOptions::compute
  std::vector<size_t> threads = {};                 // none of them 0
  std::vector<size_t> tokens = {};                  // packed workloads of so many random tokens,
  size_t length = 32;                               // in sequences of so many
  std::optional<BenchFile> file = {};
  size_t batch_tokens = 0;  // 0: 1024, of packed workloads all their tokens up to 2048
  // How texts are read, of a model with these dimensions.
  std::function<EncodeOptions(const Config&)> encode = {};
  BenchOptions bench = {};
  TimeStatistic statistic = TimeStatistic::kMedian;
  std::string command = {};  // for the record: what a user typed
};

// One kind of product, packed.
struct BenchLoad {
  std::string dtype;
  double seconds = 0;  // to open and pack
  size_t weight_bytes = 0;
  // VmHWM: once loaded, and after every workload was run once. Mapped pages of the file count.
  std::optional<uint64_t> peak_loaded = {}, peak = {};
};

struct BenchRun {
  std::string dtype, workload;
  size_t threads = 0, batch_tokens = 0;
  std::optional<double> memory_rate = {};  // bytes a second, of this many threads
  BenchResult result = {};
};

struct BenchReport {
  OrderedJson about;                                 // model, settings
  TimeStatistic statistic = TimeStatistic::kMedian;  // that stands for all repeats
  std::vector<BenchLoad> loads;
  std::vector<BenchRun> runs;  // at least one
};

// Opens the model once for every dtype and measures. Tells the listener of a stage for each, in
// hundredths of a workload. Throws as OpenModel and WorkloadBench do.
BenchReport bench_model(const BenchPlan& plan, const Listener& listener);

// "a,b" without an empty item; "1,8" as numbers from 1 to `most`; "median" or "best". Throw
// InvalidOption that names the field.
std::vector<std::string_view> parse_items(const std::string& field, std::string_view text);
std::vector<size_t> parse_counts(const std::string& field, std::string_view text, size_t most);
TimeStatistic parse_statistic(const std::string& text);

// A JSON list of ids a line; empty lines are passed over. Throws Error naming file and line.
std::vector<std::vector<Token>> read_ids_file(const std::string& path);

}  // namespace fathom
