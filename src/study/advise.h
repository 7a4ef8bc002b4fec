// SPDX-License-Identifier: Apache-2.0
// The cheapest operating point that keeps a task's quality, and what to expect of it.
//
// Calibration rows (of the train split, nothing is fitted on them) are dealt into two halves: the
// choice is made on one, and the other, which the choice has not seen, says what it saves and loses.
// Pure functions; any thread.
#pragma once

#include <optional>
#include <span>
#include <utility>

#include "study/sweep.h"
#include "study/sweep_score.h"

namespace fathom {

struct AdviceTarget {
  // Without epsilon: share of full depth's leading metric that may be lost.
  // With it: mean loss of answers against those of full depth (1 where the class differs; of a
  // score |difference| / range), not exceeded with probability 1 - epsilon (Learn-then-Test).
  double max_loss = 0.01;
  double epsilon = 0;
};

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
  AdviceFigures chosen_on, held_out,
      evaluated;  // halves of calibration; the split that is reported
};

// full: layer L of layer_points(). Points of every method go from the safest on. With a guarantee
// every method is a sequence of tests at epsilon / number of methods, so that the chosen one holds
// whichever it is. Throws Error for fewer than four calibration rows. Deterministic.
Advice advise(const SweepTask& task, const MethodPoint& full, std::span<const Method> methods,
              const AdviceTarget& target, const BootstrapOptions& options);

}  // namespace fathom
