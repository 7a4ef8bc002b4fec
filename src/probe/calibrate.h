// SPDX-License-Identifier: Apache-2.0
// Choosing a threshold from losses on calibration examples: for a target, or with a guarantee
// (docs/methods.md, "Thresholds of early exit").
//
// loss, cost: (n_example, n_threshold), thresholds from the safest (nearest to full depth) to the
// boldest. Losses lie in [0, 1] (Error otherwise): 1 where the answer differs from that of full
// depth, say. Results are the number of a threshold, nullopt where even the safest does not do.
// Pure functions: any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/matrix.h"

namespace fathom {

// P(X <= k), X ~ Binomial(n, p), 0 <= p <= 1.
double binomial_cdf(size_t k, size_t n, double p);

enum class PValue {
  kBinomial,          // exact, for losses that are 0 or 1 (Error otherwise)
  kHoeffdingBentkus,  // for any in [0, 1]
};
// Of "the risk is above delta" after seeing losses that sum to `sum` over n examples, 0 < delta < 1:
//   binomial   BinomCDF(sum; n, delta)
//   HB         min(exp(-n KL(min(sum / n, delta) || delta)), e BinomCDF(ceil(sum); n, delta))
double p_value(PValue kind, double sum, size_t n, double delta);

// How many of n examples may differ so that the exact test still certifies risk <= delta at
// 1 - epsilon; nullopt: not even none.
std::optional<size_t> allowed_differences(size_t n, double delta, double epsilon);

// The smallest risk that n examples without any loss certify at 1 - epsilon, by either test:
// 1 - epsilon^(1/n); 1 for none. And the fewest such examples that certify risk <= delta.
double smallest_certified(size_t n, double epsilon);
size_t rows_needed(double delta, double epsilon);
// The smallest delta with p_value(...) <= epsilon: an upper bound of the risk at 1 - epsilon, for one
// binomial the one of Clopper and Pearson. 1 where there is none below.
double upper_bound(PValue kind, double sum, size_t n, double epsilon);

// Learn-then-Test with a fixed sequence: thresholds are tested from the safest on, and the one
// before the first whose p-value is above epsilon is taken. P(risk <= delta) >= 1 - epsilon over
// the draw of the examples; losses need not be monotone.
std::optional<size_t> learn_then_test(Matrix<const float> loss, double delta, double epsilon,
                                      PValue kind);

// Conformal risk control: the boldest threshold with n / (n + 1) R + 1 / (n + 1) <= delta, so that
// the expected loss of a new example is at most delta. Losses are made monotone first: each becomes
// the largest up to its threshold.
std::optional<size_t> conformal_risk_control(Matrix<const float> loss, double delta);

// The boldest of the leading thresholds whose mean loss is at most `target`: no guarantee, and the
// control that those with one are compared with.
std::optional<size_t> threshold_for_loss(Matrix<const float> loss, double target);

// The safest threshold whose mean cost is at most `target` (a share of full depth, FLOPs, seconds:
// whatever cost is in); nullopt if even the boldest costs more.
std::optional<size_t> threshold_for_cost(Matrix<const float> cost, double target);

// (n_threshold) means over the examples.
std::vector<double> column_means(Matrix<const float> values);

}  // namespace fathom
