// SPDX-License-Identifier: Apache-2.0
// Scores the methods of a sweep against fixed depth (docs/sweep.md), with bootstrap intervals over
// the evaluated examples.
//
// The reference curve is (mean FLOPs, leading metric) of the layers 1 .. L, joined by straight
// lines and constant beyond its ends. No envelope is taken. The score of a method follows ELUE: its
// mean height over that curve at n costs, evenly spaced from layer 1 to layer L, so that methods
// are comparable whatever settings they have. Between two of its points a method is the line that
// joins them (a share of the texts runs at either). Layers 1 and L are points of every method (any
// text may leave there). A method of one point is scored at that point's cost alone. Every resample
// draws examples for curve and points together, so the interval includes what they have in common.
// A metric that is not defined on a resample counts 0. Deterministic.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json_fields.h"
#include "eval/bootstrap.h"
#include "study/sweep.h"

namespace fathom {

struct Estimate {
  double value = 0, low = 0, high = 0;
};

struct PointScore {
  std::string setting;                          // MethodPoint's
  Estimate score;                               // leading metric on the evaluated split
  NamedValues<double> metrics;                  // (task.metrics) there, the leading one included
  double flops = 0, share = 0, mean_layer = 0;  // means; share of layer L's
  double above_curve = 0;                       // quality minus the curve at the same FLOPs
  double shuffled_score = 0;                    // MethodPoint's
  std::vector<size_t> n_exit;                   // (n_layer + 1) examples by where they left
  double calibration_score = 0, calibration_share = 0;
};

// A point beside a layer of fixed depth, both on the evaluated split.
struct Against {
  size_t point = 0;
  std::string setting;     // of the point
  Estimate factor;         // FLOPs of the layer over those of the point; NaN where no block runs
  Estimate difference;     // quality of the point minus that of the layer
  Estimate relative_loss;  // the same the other way round, of the layer's quality
};

struct MethodScore {
  std::vector<PointScore> points = {};
  Estimate elue = {};
  std::vector<double> elue_replicates = {};  // (n_resample)
  size_t best_layer = 0;                     // of fixed depth, on calibration rows

  // The cheapest point that keeps 99 % of the quality of full depth, or of the best fixed layer.
  // Chosen on calibration rows: what a user gets.
  std::optional<Against> speed_up_full = {}, speed_up_best = {};
  // Chosen on the evaluated split itself, which is optimistically biased.
  std::optional<Against> on_split_full = {}, on_split_best = {};
  // The best point that costs no more than the best fixed layer, both on calibration rows.
  std::optional<Against> same_cost = {};
};

// Quality and mean FLOPs of outcomes on the evaluated split: value and replicates.
struct Replicated {
  double score = 0, flops = 0;
  std::vector<double> scores, flops_of;  // (n_resample)
};
std::vector<Replicated> replicate(const SweepTask& task, const Bootstrap& bootstrap,
                                  std::span<const Outcomes* const> outcomes);

// A cost and what it gives.
struct CostQuality {
  double flops, score;
};
// Mean over n costs, even from `low` to `high`, of the quality on the lines that join these points
// in the order of their costs; constant beyond their ends. n >= 2.
double even_quality(std::vector<CostQuality> points, double low, double high, size_t n);

constexpr size_t kEvenCosts = 12;

class SweepScorer {
 public:
  // layers: of layer_points(). Draws the curve's replicates once. All must outlive this.
  SweepScorer(const SweepTask& task, std::span<const MethodPoint> layers,
              const BootstrapOptions& options, size_t n_cost = kEvenCosts);

  MethodScore score(const Method& method) const;

 private:
  // Quality and mean FLOPs on calibration rows.
  struct Calibrated {
    double score, flops;
  };
  Calibrated calibrated(const Outcomes& outcomes) const;
  double curve_at(double flops, std::optional<size_t> resample) const;
  double height_of(std::span<const Replicated> points, std::optional<size_t> resample) const;
  Estimate elue_of(std::span<const Replicated> points, std::vector<double>& replicates) const;
  PointScore score_point(const MethodPoint& from, const Replicated& point) const;
  std::optional<Against> against(size_t layer, std::optional<size_t> point, const Method& method,
                                 std::span<const Replicated> points) const;

  const SweepTask& task_;
  Bootstrap bootstrap_;
  size_t n_cost_;
  size_t best_layer_;
  std::vector<double> calibration_gold_;
  std::vector<Replicated> curve_;             // (n_layer): layers 1 .. L
  std::vector<Calibrated> calibrated_curve_;  // (n_layer)
};

// y at x on the lines through (xs[i], ys[i]), xs rising; the end values beyond them.
double interpolate(std::span<const double> xs, std::span<const double> ys, double x);

// The leading metric of a resample; 0 where it is not defined.
Statistic score_statistic(TaskMetric metric, std::span<const double> answer,
                          std::span<const double> gold);

// Mean over tasks of one method's scores: resamples of different tasks are independent, so
// replicate r of all tasks makes replicate r of the mean. replicates: (n_task) of (n_resample).
Estimate macro_score(std::span<const double> values,
                     std::span<const std::vector<double>> replicates);

}  // namespace fathom
