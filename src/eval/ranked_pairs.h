// SPDX-License-Identifier: Apache-2.0
// RankedPairs: scores with their targets, sorted once, so that each metric of any bootstrap
// resample is one pass over the pairs instead of a sort.
//
// A resample is a vector of multiplicities: how often each pair was drawn. Its metrics equal, bit
// for bit, those of the sample in which every pair is written out that often, because they come
// from integer counts (Spearman: as long as n_pair^3 < 2^53); only pearson() agrees to rounding.
// What is NaN, 0 or an Error is said in metrics.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/metrics.h"
#include "eval/threshold.h"

namespace fathom {

// times[i]: how often pair i is in the resample; empty means each once. (n_pair) or (0).
using Multiplicities = std::span<const uint32_t>;

// Immutable: share between threads.
class RankedPairs {
 public:
  // score, target: (n_pair), fewer than 2^31; copied. O(n log n).
  RankedPairs(std::span<const double> score, std::span<const double> target);

  size_t n_pair() const { return positive_.size(); }

  double pearson(Multiplicities times = {}) const;
  double spearman(Multiplicities times = {}) const;

  // From here on targets are 0 or 1, else Error.
  double auc(Multiplicities times = {}) const;
  double average_precision(Multiplicities times = {}) const;
  // At a given threshold, for instance one chosen on other pairs; NaN if it is NaN.
  double accuracy_at(double threshold, Multiplicities times = {}) const;
  double f1_at(double threshold, Multiplicities times = {}) const;
  double mcc_at(double threshold, Multiplicities times = {}) const;
  // At the best threshold of the resample itself; only scores that are in it make candidates.
  Threshold best_threshold(ThresholdObjective objective, Multiplicities times = {}) const;

 private:
  // Pairs by ascending value, in groups of equal value.
  struct Order {
    std::vector<uint32_t> pair;   // (n_pair)
    std::vector<uint32_t> begin;  // (n_group + 1): where each group starts
    size_t n_group() const { return begin.size() - 1; }
  };
  // One group of tied scores within a resample.
  struct Tie {
    uint64_t n_positive, n_negative;
  };

  static Order order_of(std::span<const double> values);
  bool is_constant(const Order& order, Multiplicities times) const;
  Tie tie(size_t group, Multiplicities times) const;
  double threshold_below(size_t group, Multiplicities times) const;
  BinaryCounts counts_at(double threshold, Multiplicities times) const;
  // Whether metrics are defined at all; throws Error if the targets are not binary.
  bool has_binary_metrics(Multiplicities times) const;

  bool is_finite_ = true;
  bool is_binary_ = true;
  std::vector<double> x_, y_;           // (n_pair) scores, targets, each times a power of two
  std::vector<double> group_score_;     // (n_group), ascending
  Order by_score_, by_target_;          // empty where !is_finite_
  std::vector<uint32_t> target_group_;  // (n_pair), in the order of by_score_.pair
  std::vector<uint32_t> positive_;      // (n_pair), 0 or 1, in the order of by_score_.pair
};

}  // namespace fathom
