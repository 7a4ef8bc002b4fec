// SPDX-License-Identifier: Apache-2.0
// Pools the figures of several seeds: means over seeds, with 95 % intervals that resample examples
// and seeds. Replicate r draws as many seeds as there are, with replacement, and takes each seed's
// value on resample r of the examples. All figures use the same draws, so differences are paired.
// With one seed the interval is that of the examples alone. Few seeds make the interval too narrow:
// n seeds drawn from n have (n - 1) / n of the variance. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "study/seed_figures.h"
#include "study/sweep_score.h"

namespace fathom {

struct SeedMean {
  Estimate mean = {};
  std::vector<double> by_seed = {};  // (n_seed)
};

struct FixedMean {
  std::string name, system;  // FixedCurve's
  SeedMean quality = {};
};
// Exits of a system, the measure chosen in each seed on calibration rows; or of the system that is
// chosen so: "best on calibration rows".
struct ExitMean {
  std::string name;
  std::vector<std::string> chosen = {};  // (n_seed) "margin", "first+layer: entropy"
  SeedMean quality = {};
};
// Exits less a baseline.
struct Gain {
  std::string exits, baseline;  // names of the two
  SeedMean gain = {};
};
// One measure with plain heads less plain fixed depth.
struct MeasureGain {
  std::string measure;
  SeedMean gain = {};
};
struct KeptMean {
  double share = 0;
  std::string by;
  std::vector<std::string> settings = {};  // (n_seed)
  SeedMean factor = {};                    // times fewer FLOPs; geometric mean
  SeedMean loss = {}, loss_all_rows = {};
};
// Over seeds alone: resampling examples makes a calibration error larger.
struct LayerError {
  size_t layer = 0;
  double mean = 0, smallest = 0, largest = 0;
};

struct OverSeeds {
  std::vector<uint64_t> seeds = {};
  std::vector<FixedMean> fixed = {};
  std::vector<ExitMean> exits = {};  // of plain heads first
  std::vector<Gain> gains = {};      // every one of exits over every one of fixed
  std::string strongest = {};        // of fixed, the one with the highest quality here
  std::vector<MeasureGain> measures = {};
  std::vector<KeptMean> kept = {};
  std::vector<LayerError> calibration_error = {};
  std::vector<DepthGroup> depth = {};  // means over the seeds that have the group

  // nullptr if there is none.
  const Gain* gain(std::string_view exits, std::string_view baseline) const;
};

inline constexpr std::string_view kBestExits = "best on calibration rows";

// seeds: at least one, with the same curves and as many replicates; throws Error otherwise.
OverSeeds over_seeds(std::span<const SeedFigures> seeds, uint64_t seed);

// The figure from values and replicates of every seed, (n_seed) each. logs: of logarithms.
SeedMean seed_mean(std::span<const Sampled* const> seeds, uint64_t seed, bool logs = false);

// A threshold that keeps 99 % on calibration rows of one task, used on another; means over seeds.
// Between two points of the other task's measure shares and scores are interpolated.
struct MovedThreshold {
  std::string measure, from, to;
  double share = 0;                                      // of full depth's FLOPs
  double loss = 0, loss_smallest = 0, loss_largest = 0;  // of full depth's quality
};
struct TaskThresholds {
  std::string task;
  std::vector<std::vector<ThresholdCurve>> seeds;  // (n_seed)
};
// Every task on every task, itself included, for measures that both have in every seed.
std::vector<MovedThreshold> moved_thresholds(std::span<const TaskThresholds> tasks);

}  // namespace fathom
