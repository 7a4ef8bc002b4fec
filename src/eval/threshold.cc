// SPDX-License-Identifier: Apache-2.0
#include "eval/threshold.h"

#include <numeric>

#include "eval/ranked_pairs.h"

namespace fathom {

Threshold best_threshold(std::span<const double> score, std::span<const double> target,
                         ThresholdObjective objective) {
  return RankedPairs(score, target).best_threshold(objective);
}

double threshold_between(double low, double high) {
  const double middle = std::midpoint(low, high);
  return middle > low ? middle : high;
}

}  // namespace fathom
