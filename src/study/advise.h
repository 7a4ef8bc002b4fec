// SPDX-License-Identifier: Apache-2.0
// Finds the cheapest operating point that keeps a task's quality, and estimates its figures.
//
// Calibration rows come from the train split, or from rows like the ones to come; nothing is fitted
// on them. A point is accepted if an upper bound of its loss is at most the allowed loss. The
// promise then holds with probability 1 - epsilon, for rows drawn like the calibration rows:
//
//   quality    the lost share of full depth's leading metric. Accuracy: the share of rows that full
//              depth has right and the point has wrong, exact binomial. Rows that only the point
//              has right are not counted, so this share is at least the loss. Other metrics: a
//              bootstrap quantile, which is no proof.
//   answers    mean loss of answers against those of full depth (1 where the class differs; for a
//              score |difference| / range), exact binomial or Hoeffding-Bentkus.
//
// Every method is a sequence of tests, safest point first, at epsilon / number of methods, and ends
// with the first failure (Learn-then-Test). The promise holds for any accepted point. Pure
// functions; any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "study/sweep.h"
#include "study/sweep_score.h"

namespace fathom {

enum class AdvicePromise : uint8_t {
  kQuality,
  kAnswers,
  // None: the mean loss of the leading metric on one half of the calibration rows, drawn at random;
  // the other half says what to expect.
  kOptimistic,
};

struct AdviceTarget {
  double max_loss = 0.01;  // below 1; above 0 but for kOptimistic
  AdvicePromise promise = AdvicePromise::kQuality;
  double epsilon = 0.05;  // the chance that the promise is broken
};

// What a number of rows can certify.
struct AdviceResolution {
  size_t n_available = 0;  // rows that count
  size_t n_test = 1;       // methods that share epsilon
  double epsilon = 0;      // of one of them
  size_t n_needed = 0;     // rows without a single loss that certify what is asked for
  double smallest = 0;     // loss that n_available such rows certify
  bool is_exact = true;    // false: a bootstrap, for which there is no such number
  bool is_enough() const { return !is_exact || n_available >= n_needed; }
};
// accuracy: whether the leading metric is one, for kQuality.
AdviceResolution resolution_of(const AdviceTarget& target, size_t n_row, size_t n_method,
                               bool accuracy);

// Of some rows, with bootstrap intervals.
struct AdviceFigures {
  size_t n = 0;
  Estimate saving;   // share of full depth's FLOPs
  Estimate loss;     // share of full depth's quality; below 0 is a gain
  Estimate differs;  // mean loss of answers against full depth
};

struct Advice {
  // Number of the method and of its point; nullopt: full depth, nothing cheaper meets the target.
  std::optional<std::pair<size_t, size_t>> choice;
  AdviceResolution resolution;
  // Of what was promised, at 1 - epsilon / number of methods; NaN for kOptimistic and full depth.
  double bound = std::numeric_limits<double>::quiet_NaN();
  AdviceFigures chosen_on;                     // calibration rows: all, or the half that chose
  std::optional<AdviceFigures> held_out = {};  // kOptimistic: the other half
  AdviceFigures evaluated;                     // the split that is reported

  // Of what was promised, on rows that did not choose: held-out ones, else the reported split.
  const Estimate& reported(AdvicePromise promise) const;
};

// full: layer L of layer_points(). rows: which of the calibration rows; none: all. Throws Error for
// fewer than four calibration rows. Deterministic.
Advice advise(const SweepTask& task, const MethodPoint& full, std::span<const Method> methods,
              const AdviceTarget& target, const BootstrapOptions& options,
              std::span<const size_t> rows = {});

// What comes first in every report, "" where there is nothing of it: a loss above the limit on rows
// that did not choose, nothing certified, nothing saved.
std::vector<std::string> warnings_of(const Advice& advice, const AdviceTarget& target,
                                     const Task& task);

}  // namespace fathom
