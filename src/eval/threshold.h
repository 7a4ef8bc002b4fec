// SPDX-License-Identifier: Apache-2.0
// The threshold that turns scores into decisions: a pair is positive if its score >= threshold.
//
// Candidates are the midpoints of neighbouring distinct scores, -infinity (all positive) and
// +infinity (none); of equally good ones, the largest. Tied scores are never torn apart.
#pragma once

#include <span>

namespace fathom {

enum class ThresholdObjective { kAccuracy, kF1 };

struct Threshold {
  double threshold;
  double value;  // the objective on the sample the threshold was chosen on
};

// score, target: (n), targets 0 or 1 (else Error). Both fields are NaN if n is 0 or any score is
// NaN or infinite. O(n log n). Pure.
Threshold best_threshold(std::span<const double> score, std::span<const double> target,
                         ThresholdObjective objective);

// The midpoint of low < high; high where rounding leaves no number strictly above low, so that
// x >= threshold always separates the two.
double threshold_between(double low, double high);

}  // namespace fathom
