// SPDX-License-Identifier: Apache-2.0
#include "eval/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "eval/metrics.h"

namespace fathom {
namespace {

// Resamples per task: enough to hide what a task costs, few enough to share out evenly.
constexpr size_t kResamplesPerTask = 8;

}  // namespace

Bootstrap::Bootstrap(size_t n_pair, const BootstrapOptions& options) : n_pair_(n_pair) {
  FATHOM_REQUIRE(n_pair > 0, "bootstrap: expected at least one pair, got none");
  FATHOM_REQUIRE(options.n_resample > 0, "bootstrap: expected at least one resample, got none");
  FATHOM_ASSERT(n_pair < std::numeric_limits<uint32_t>::max());
  Random random(options.seed);
  seeds_.resize(options.n_resample);
  for (uint64_t& seed : seeds_) seed = random.next();
}

std::vector<uint32_t> Bootstrap::draw(size_t resample) const {
  FATHOM_ASSERT(resample < n_resample());
  Random random(seeds_[resample]);
  std::vector<uint32_t> pairs(n_pair_);
  for (uint32_t& pair : pairs) pair = static_cast<uint32_t>(random.below(n_pair_));
  return pairs;
}

void Bootstrap::count(size_t resample, std::span<uint32_t> times) const {
  std::fill(times.begin(), times.end(), 0u);
  for (uint32_t pair : draw(resample)) ++times[pair];
}

std::vector<std::vector<double>> Bootstrap::run(std::span<const Statistic> statistics,
                                                ThreadPool& pool) const {
  std::vector<std::vector<double>> replicates(statistics.size(), std::vector<double>(n_resample()));
  const size_t n_task = (n_resample() + kResamplesPerTask - 1) / kResamplesPerTask;
  pool.run(n_task, [&](size_t task) {
    std::vector<uint32_t> times(n_pair_);
    const size_t end = std::min(n_resample(), (task + 1) * kResamplesPerTask);
    for (size_t r = task * kResamplesPerTask; r < end; ++r) {
      count(r, times);
      for (size_t s = 0; s < statistics.size(); ++s) replicates[s][r] = statistics[s](times);
    }
  });
  return replicates;
}

double quantile_of_sorted(std::span<const double> ascending, double q) {
  FATHOM_ASSERT(q >= 0 && q <= 1);
  if (ascending.empty()) return kUndefined;
  const double position = q * static_cast<double>(ascending.size() - 1);
  const size_t below = std::min(static_cast<size_t>(position), ascending.size() - 1);
  const size_t above = std::min(below + 1, ascending.size() - 1);
  return std::lerp(ascending[below], ascending[above], position - static_cast<double>(below));
}

Interval percentile_interval(std::span<const double> replicates, double level) {
  FATHOM_ASSERT(level > 0 && level < 1);
  std::vector<double> defined;
  defined.reserve(replicates.size());
  std::copy_if(replicates.begin(), replicates.end(), std::back_inserter(defined),
               [](double v) { return !std::isnan(v); });
  std::sort(defined.begin(), defined.end());
  return {.low = quantile_of_sorted(defined, (1 - level) / 2),
          .high = quantile_of_sorted(defined, (1 + level) / 2),
          .n_left_out = replicates.size() - defined.size()};
}

PairedDifference paired_difference(std::span<const double> system, std::span<const double> baseline,
                                   double level) {
  FATHOM_ASSERT(system.size() == baseline.size());
  std::vector<double> differences(system.size());
  size_t n = 0, n_not_above = 0, n_not_below = 0;
  for (size_t r = 0; r < system.size(); ++r) {
    const double d = system[r] - baseline[r];
    differences[r] = d;
    n += !std::isnan(d);
    n_not_above += d <= 0;
    n_not_below += d >= 0;
  }
  const double p = n == 0
                       ? kUndefined
                       : std::min(1.0, 2 * static_cast<double>(std::min(n_not_above, n_not_below)) /
                                           static_cast<double>(n));
  return {.interval = percentile_interval(differences, level), .p = p};
}

}  // namespace fathom
