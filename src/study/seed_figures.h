// SPDX-License-Identifier: Apache-2.0
// The figures of one seed of a sweep on one task. Heads, thresholds, layers, measures and operating
// points are chosen on that seed's cut of the training rows. Figures are those of the evaluated
// split, each with its replicates over resamples of the examples. Resample r is the same in every
// seed, so study/over_seeds.h can pool them. Pure functions; any thread.
//
// The quality of a curve or of exits is the mean of the leading metric at n costs, evenly spaced
// from layer 1 to layer L of plain fixed depth (even_quality() of sweep_score.h). A gain is a
// difference of two.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/bootstrap.h"
#include "study/head_input.h"
#include "study/sweep.h"

namespace fathom {

// Of full depth's quality, that a chosen point is to keep on calibration rows.
inline constexpr double kKeptShares[] = {0.95, 0.98, 0.99, 1};

// A figure and what it is on every resample, to six digits behind the point; (n_resample).
struct Sampled {
  double value = 0;
  std::vector<double> replicates = {};
};

// Fixed depth with some kind of head.
struct FixedCurve {
  std::string system;     // SweepSystem::name()
  bool all_rows = false;  // heads fitted on heads, tune and calibration rows
  bool envelope = false;  // for every budget the layer that is best on calibration rows
  Sampled quality = {};

  std::string name() const;  // "layer", "first+layer, envelope, all rows"
};

struct ExitCurve {
  std::string system, measure;
  double on_calibration = 0;  // quality on calibration rows: what a measure is chosen by
  Sampled quality = {};
};

// The cheapest point that keeps a share of full depth's quality on calibration rows; full depth
// where none does. Of a quality of 0 nothing can be lost: NaN.
struct KeptPoint {
  double share = 0;  // one of kKeptShares
  std::string by;    // "exits", "fixed", "fixed, all rows"
  std::string setting;
  Sampled log_factor = {};     // log of how many times fewer FLOPs than full depth
  Sampled loss = {};           // of full depth's quality, heads of the same rows
  Sampled loss_all_rows = {};  // of that of full depth with heads fitted on all rows
};

// Examples of the evaluated split at the point of the exits that keeps 99 %.
struct DepthGroup {
  std::string by, group;  // "length": "5 to 7 tokens"; "oracle": "layer 3", "never right"
  double n = 0, depth = 0, oracle_depth = 0;  // means of the group
  double right = 0;                           // share; NaN of scores
};

// Points of a measure by rising threshold, on the evaluated split; and the one that keeps 99 %.
struct ThresholdCurve {
  std::string measure;
  double chosen = 0, full = 0;  // threshold; quality of full depth
  std::vector<double> threshold = {}, share = {}, score = {};
};

struct SeedFigures {
  uint64_t seed = 0;
  std::vector<FixedCurve> fixed = {};
  std::vector<ExitCurve> exits = {};
  std::vector<KeptPoint> kept = {};
  std::vector<double> calibration_error = {};  // (n_layer) of classes; empty of scores
  std::vector<DepthGroup> depth = {};
  std::vector<ThresholdCurve> thresholds = {};
};

struct SeedOptions {
  std::vector<Measure> measures = {};
  std::vector<HeadInput> inputs = {HeadInput::kLayer};  // "layer" is the first
  HeadFitting fitting = {};
  SweepOptions sweep = {};
  BootstrapOptions bootstrap = {};  // the same for every seed
  uint64_t seed = 1;
};

// layers: of layer_points(). `step` is called once for every input.
SeedFigures seed_figures(const SweepTask& task, std::span<const MethodPoint> layers,
                         const SeedOptions& options, const std::function<void()>& step = {});

OrderedJson to_json(const SeedFigures& figures);
// Throws Error that names the field; `where` begins the message.
SeedFigures seed_figures_from_json(const OrderedJson& json, std::string_view where);

}  // namespace fathom
