// SPDX-License-Identifier: Apache-2.0
// Building blocks of a sweep's exits: a rule, its tables of examples, and the operating points that
// these allow. sweep.h has the methods themselves. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "study/sweep.h"

namespace fathom {

// Some examples of a split.
struct SweepRows {
  const SweepSplit& split;
  std::vector<size_t> rows;
};
SweepRows tune_of(const SweepTask& task);
SweepRows calibration_of(const SweepTask& task);
SweepRows evaluated_of(const SweepTask& task);

// Texts of an example.
inline size_t width_of(const SweepTask& task) { return task.task.is_pair() ? 2 : 1; }
// Layers 1 .. L.
std::vector<size_t> all_exits(const SweepTask& task);
// A rule without thresholds that has exits at these layers.
ExitRule make_rule(const SweepTask& task, Measure measure, std::vector<size_t> layers,
                   const SweepOptions& options);
// Of example rows[i], all its texts, that leaves at this layer.
double example_flops(const SweepTask& task, const EarlyExit& policy, const SweepRows& of, size_t i,
                     size_t layer);

// A table of some examples, and what leaving anywhere costs them.
struct ExitRun {
  ExitTable table;
  std::vector<double> flops;  // (n_exit, n_example)
};
struct ExitRuns {
  ExitTable tune;  // thresholds are picked from it
  ExitRun calibration, evaluated;
};
// The points of a rule whose tables are known, losses and all but `reliability`.
Method exit_method(const SweepTask& task, ExitRule rule, const ExitRuns& runs,
                   const SweepOptions& options);

// What tells a point of a method from the others: "threshold 0.9", four digits.
std::string setting_name(std::string_view name, double value);

// Of measures that coincide on this task the first alone.
std::vector<Measure> distinct_measures(std::span<const Measure> measures, const Task& task);

// Ten bins of the largest probability at each exit; empty ones are left out. confidence of `table`:
// max-prob. gold: (n_example).
std::vector<ReliabilityBin> reliability_of(const ExitTable& table, std::span<const double> gold);
// Expected calibration error of a layer: mean over its examples of |confidence - accuracy| of their
// bin. NaN without examples.
double calibration_error(std::span<const ReliabilityBin> bins, size_t layer);

}  // namespace fathom
