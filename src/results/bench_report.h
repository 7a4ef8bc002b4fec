// SPDX-License-Identifier: Apache-2.0
// What `fathom bench` found, for people and for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/bench.h"

namespace fathom::cli {

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
  OrderedJson about;  // model, settings
  TimeStatistic statistic = TimeStatistic::kMedian;
  std::vector<BenchLoad> loads;
  std::vector<BenchRun> runs;  // at least one
};

std::string to_text(const BenchReport& report);
// `about`, then the figures of the last run, then all loads and runs.
OrderedJson to_json(const BenchReport& report);

}  // namespace fathom::cli
