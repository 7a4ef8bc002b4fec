// SPDX-License-Identifier: Apache-2.0
// Checks of a sweep beside quality: whether the guarantee of thresholds holds on real features, and
// whether a policy takes the time that its FLOPs predict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/matrix.h"

namespace fathom {

struct GuaranteeOptions {
  size_t n_split = 200, n_draw = 4000;
  double delta = 0.05, epsilon = 0.05;
  uint64_t seed = 1;
  size_t min_example = 400;  // fewer certify too little to be a check
  // What the rule is given for epsilon. Another number is a wrong rule, which the check has to
  // find.
  std::optional<double> rule_epsilon = {};
};

// Splits in which the risk of the chosen threshold is above delta.
struct Violations {
  size_t n_population = 0;  // over calibration and test half together: what is sampled
  size_t n_test = 0;        // on the test half alone, which is noisier
};

// Draws from a population without end, made of the examples of one threshold: those that lose and
// those that do not, in such shares that the risk lies just above delta. That is where a rule is
// most likely to err, and a threshold that loses nothing stands in front of it.
struct BoundaryCheck {
  size_t n_draw = 0;         // 0: no threshold's losses can be mixed so
  size_t n_calibration = 0;  // examples of a draw
  size_t guaranteed = 0;     // draws in which Learn-then-Test takes the threshold all the same
  size_t naive = 0;          // draws whose mean loss is at most delta
  double chance = 0;         // of that for a right rule: exact for losses 0 or 1, else epsilon
  size_t allowed = 0;        // 99 % quantile of the binomial of n_draw with this chance
};

struct GuaranteeCheck {
  size_t n_example = 0, n_split = 0;
  double delta = 0, epsilon = 0;  // GuaranteeOptions'
  Violations guaranteed;          // Learn-then-Test
  Violations naive;               // mean loss on the calibration half <= delta, the control
  size_t n_abstained = 0;         // Learn-then-Test found no threshold: full depth
  // Of a split, that a right rule is violated over the population: hypergeometric, as the half is
  // drawn from it, and far below epsilon; epsilon where losses are not all 0 or 1.
  double chance = 0;
  size_t allowed = 0;  // 99 % quantile of the binomial of n_split with this chance
  BoundaryCheck boundary = {};

  bool holds() const {
    return guaranteed.n_population <= allowed && boundary.guaranteed <= boundary.allowed;
  }
};
// loss: (n_example, n_threshold), safest first, of examples that nothing was fitted on. Every split
// deals half of them to calibration at random. nullopt for too few examples. Deterministic.
std::optional<GuaranteeCheck> check_guarantee(Matrix<const float> loss,
                                              const GuaranteeOptions& options);

// P(X <= k), X lossy ones among n drawn from `population` without putting back, `lossy` of them.
double hypergeometric_cdf(size_t k, size_t population, size_t lossy, size_t n);

// Smallest k with P(X <= k) >= level, X ~ Binomial(n, p).
size_t binomial_quantile(size_t n, double p, double level);

// Answers examples begin .. end - 1 at once.
using AnswerExamples = std::function<void(size_t begin, size_t end)>;

// Medians over rounds, of one example.
struct PolicyTime {
  size_t n_example = 0;
  double packed_seconds = 0, packed_full_seconds = 0;  // all examples at once
  double batch1_seconds = 0, batch1_full_seconds = 0;  // one by one
  double packed_share() const { return packed_seconds / packed_full_seconds; }
  double batch1_share() const { return batch1_seconds / batch1_full_seconds; }
};
// Beside what it should take.
struct PointTime {
  PolicyTime time;
  double predicted_share = 0;  // FLOPs of these examples, of those of full depth

  double packed_over_predicted() const { return time.packed_share() / predicted_share; }
  double batch1_over_predicted() const { return time.batch1_share() / predicted_share; }
};

// Policy and full depth take turns in every round, so that a clock that drifts meets both.
PolicyTime time_policy(size_t n_example, const AnswerExamples& policy, const AnswerExamples& full,
                       size_t n_round = 3);

}  // namespace fathom
