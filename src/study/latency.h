// SPDX-License-Identifier: Apache-2.0
// Latency and energy of a call that answers several examples at once: medians and 99th percentiles,
// for a policy in alternation with full depth.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "study/sweep_check.h"

namespace fathom {

struct Latency {
  double p50 = 0, p99 = 0;            // seconds of a call; quantiles as numpy's
  std::optional<double> joules = {};  // of an example: the packages' counters, whatever else runs
};
struct BatchLatency {
  size_t batch = 0, n_call = 0;  // examples of a call; calls of either
  Latency policy = {}, full = {};
};

// Calls of `batch` examples over all of them, the last one smaller, in rounds in turn with full
// depth until there are about 40 calls or 12 rounds, 3 at least.
BatchLatency time_batches(size_t n_example, size_t batch, const AnswerExamples& policy,
                          const AnswerExamples& full);

// RAPL's counters of all processor packages (Linux powercap). One thread at a time.
class EnergyMeter {
 public:
  explicit EnergyMeter(const std::filesystem::path& root = "/sys/class/powercap");

  // Since the meter was made or read last; nullopt where no counter can be read, as in a virtual
  // machine or without the right to. A counter that has come around is taken for that.
  std::optional<double> joules();

 private:
  struct Package {
    std::filesystem::path file;
    uint64_t range = 0, last = 0;  // microjoules
  };
  std::vector<Package> packages_;
  bool readable_ = true;
};

}  // namespace fathom
