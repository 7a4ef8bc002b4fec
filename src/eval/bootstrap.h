// SPDX-License-Identifier: Apache-2.0
// Bootstrap over pairs: how far a figure would move with another sample of the same size.
//
// Resample r draws n pairs with replacement from its own stream of random numbers, whose seed is
// the r-th draw of Random(seed). It depends on n, seed and r alone: every system, every thread
// count and every larger n_resample sees the same resamples, which is what makes differences
// between systems paired.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "eval/ranked_pairs.h"

namespace fathom {

struct BootstrapOptions {
  size_t n_resample = 2000;
  uint64_t seed = 1;
};

// A figure of the resample with these multiplicities, (n_pair), for instance
//   [&](Multiplicities times) { return pairs.spearman(times); }
// NaN where it is not defined. Called from several threads at once.
using Statistic = std::function<double(Multiplicities times)>;

// Immutable; holds one seed per resample and draws the rest again when asked.
class Bootstrap {
 public:
  // Throws Error if n_pair or n_resample is 0.
  explicit Bootstrap(size_t n_pair, const BootstrapOptions& options = {});

  size_t n_pair() const { return n_pair_; }
  size_t n_resample() const { return seeds_.size(); }

  // The pairs of one resample in the order drawn, (n_pair).
  std::vector<uint32_t> draw(size_t resample) const;

  // replicates[s][r]: statistic s of resample r, (n_statistic, n_resample); the same for any pool.
  // An exception of a statistic is thrown here.
  std::vector<std::vector<double>> run(std::span<const Statistic> statistics,
                                       ThreadPool& pool) const;

 private:
  void count(size_t resample, std::span<uint32_t> times) const;

  size_t n_pair_;
  std::vector<uint64_t> seeds_;  // (n_resample)
};

// Percentile interval of the replicates that are not NaN; low and high are NaN if all are.
struct Interval {
  double low, high;
  size_t n_left_out;  // NaN replicates, for instance resamples with one class only
};
Interval percentile_interval(std::span<const double> replicates, double level = 0.95);

// System minus baseline, resample by resample. NaN on either side leaves the resample out.
struct PairedDifference {
  Interval interval;
  // Two-sided: 2 min(share of differences <= 0, share >= 0), at most 1; NaN if none is left.
  // 0 says "below 2 / n_resample".
  double p;
};
PairedDifference paired_difference(std::span<const double> system, std::span<const double> baseline,
                                   double level = 0.95);

// The q-quantile (0 <= q <= 1) of ascending values, at position q (n - 1) with linear interpolation
// between neighbours: numpy's default. NaN without values.
double quantile_of_sorted(std::span<const double> ascending, double q);

}  // namespace fathom
