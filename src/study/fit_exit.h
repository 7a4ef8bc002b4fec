// SPDX-License-Identifier: Apache-2.0
// Early exit from cached vectors: each exit's answer and confidence, the thresholds that a target
// allows, and the rule of a policy file.
//
// Confidences come from EarlyExit itself, called boundary by boundary with the cached vectors. So
// calibration uses the code that will run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "depth/exit.h"
#include "eval/cost.h"
#include "study/feature_store.h"
#include "study/fit_heads.h"

namespace fathom {

// Whether a measure means anything for a task.
bool fits_task(Measure measure, const Task& task);

// What a rule is made of, beside the heads.
struct ExitPlan {
  Measure measure = Measure::kEntropy;
  std::vector<size_t> layers;  // of the exits, rising
  size_t streak = 1;           // exits in a row; 1 in the rule of a measure that counts none
  double alpha = 1;
};
// The rule without thresholds (set_point), maps (fit_maps) and what is learned (fit_learned). fits:
// of the task's heads, layers 0 .. n_layer at least; without a task (nullptr) their
// post-processing alone.
ExitRule make_exit_rule(const ExitPlan& plan, const Task* task, std::span<const LayerFit> fits,
                        size_t n_layer);

// What a wrong exit costs, in [0, 1].
enum class ExitLoss : uint8_t {
  kConsistency,  // 1 where the class differs from that of the last layer; a score: |difference| /
                 // range; a vector without a head: 1 - cos(what is returned, e'_L)
  kRisk,         // 1 where the class is wrong and that of the last layer right
};

// Examples at every exit, the last of which is the last layer.
struct ExitTable {
  std::vector<size_t> layers;  // (n_exit)
  size_t n_example = 0;
  std::vector<float> confidence;  // (n_exit, n_example), as DepthTrace has it
  std::vector<float> answer;      // (n_exit, n_example) class or score; 0 without heads
  std::vector<float> loss;        // (n_exit, n_example) of stopping there

  size_t at(size_t exit, size_t example) const { return exit * n_example + example; }
};

struct ExitExamples {
  const FeatureCache& cache;          // layers 0 .. L in this order, perhaps more
  std::span<const size_t> rows;       // which examples of it
  std::span<const double> gold = {};  // of all examples of the cache; for kRisk
  double range = 1;                   // of a score
};
// Thresholds of the rule do not matter; its exits must end with the last layer.
ExitTable run_exits(const ExitRule& rule, const ExitExamples& examples, ExitLoss loss,
                    ThreadPool& pool);

// One setting of a rule: the same threshold at all exits.
struct OperatingPoint {
  size_t streak = 1;
  double threshold = 0;
};
// From the safest on, which never stops before the last layer: at most n settings, spread over the
// quantiles of the confidences in `table` (of examples that calibration does not use: a sequence of
// tests must not depend on what it tests).
std::vector<OperatingPoint> operating_points(const ExitRule& rule, const ExitTable& table,
                                             size_t n = 60);
// Where every example stops: index of its exit, (n_example).
std::vector<size_t> stops(const ExitRule& rule, const ExitTable& table, const OperatingPoint& at);
void set_point(ExitRule& rule, const OperatingPoint& at);

// (n_example, n_point) of loss, and of cost as a share of the mean cost of full depth.
std::vector<float> loss_matrix(const ExitRule& rule, const ExitTable& table,
                               std::span<const OperatingPoint> points);
// n_token: (n_text) of all texts of the cache, as the model reads them.
std::vector<float> cost_matrix(const ExitRule& rule, const ExitTable& table,
                               std::span<const OperatingPoint> points, const CostModel& model,
                               const ExitExamples& examples, std::span<const size_t> n_token);

// What a threshold is chosen for.
struct ExitTarget {
  enum class Kind : uint8_t { kSpeed, kLoss, kGuarantee, kRiskControl } kind = Kind::kGuarantee;
  double value = 0.05;    // speed-up, loss, or delta
  double epsilon = 0.05;  // kGuarantee
};
// The number of the point; nullopt where not even the safest meets the target. loss, cost:
// (n_example, n_point).
std::optional<size_t> choose_point(const ExitTarget& target, Matrix<const float> loss,
                                   Matrix<const float> cost);

// Learned-to-exit of a rule from these examples, all exits before the last one. An exit is wrong
// where its loss is above `tolerance`.
LearnedToExit fit_learned(const ExitRule& rule, const ExitExamples& examples, ExitLoss loss,
                          double tolerance, ThreadPool& pool);

// The maps of a rule without heads: M_l by ridge regression on the vectors of these texts, with the
// kappa of five whose vectors come nearest on `judged`. Throws as fit_linear_map does.
void fit_maps(ExitRule& rule, const FeatureCache& cache, std::span<const size_t> fitted,
              std::span<const size_t> judged, ThreadPool& pool);

}  // namespace fathom
