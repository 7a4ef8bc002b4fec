// SPDX-License-Identifier: Apache-2.0
// A sweep of one task: the answers and costs of every depth method at several operating points,
// from cached vectors of all layers. One pass of the model serves all methods.
//
//   embedding    the head of layer 0, the embedding after ln0: no block runs
//   fixed        the heads of layers 1 .. L, each the depth of every example
//   best-fixed   for every budget l = 1 .. L the layer from 1 to l that is best on calibration rows
//   exit:MEASURE early exit (depth/exit.h), thresholds from the tune rows
//   random       leaves at every exit with the same probability, whatever the input
//   oracle       leaves at the first layer from l on whose answer is right (for scores: as near as
//                the nearest of all layers, within a tolerance), l = 1 .. L: no program can do this
//
// Heads, thresholds and choices come from the train split; `evaluated` is answered once.
// sweep_score.h has quality and its intervals. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "eval/cost.h"
#include "study/fit_exit.h"
#include "study/fit_heads.h"

namespace fathom {

struct SweepSplit {
  const FeatureCache& cache;    // complete; layers 0 .. L, final
  std::vector<double> gold;     // (n_example)
  std::vector<size_t> n_token;  // (n_text), as the model reads them
};

struct SweepTask {
  const Task& task;
  const SweepSplit& train;
  const SweepSplit& evaluated;
  const FitRows& rows;                // of train; none of them empty
  const std::vector<LayerFit>& fits;  // (n_layer + 2)
  CostModel cost;
  ThreadPool& pool;

  size_t n_layer() const { return cost.n_layer; }
  double range() const { return task.n_class() == 1 ? task.highest - task.lowest : 1; }
};

struct SweepOptions {
  size_t n_point = 12;      // operating points of a method; what has fewer settings has fewer
  size_t n_grid = 60;       // thresholds that they are picked from, evenly by cost on calibration
  size_t streak = 2;        // exits in a row, where traits say swept_in_a_row
  double alpha = 1;         // of prototype
  double tolerance = 0.05;  // share of the range of a score that counts as right
  uint64_t seed = 1;
  size_t n_shuffle = 20;  // of the control with the same exits at other examples
};

// Every example of a split at one operating point, (n_example) each.
struct Outcomes {
  std::vector<double> answer;   // class or score
  std::vector<double> flops;    // of all that ran: blocks, pooling, heads, maps
  std::vector<uint32_t> layer;  // where it left
};

struct MethodPoint {
  std::string setting;       // "layer 3", "threshold 0.87", for people
  OperatingPoint exit = {};  // of exits
  Outcomes calibration = {}, evaluated = {};
  // Exits only: mean leading metric on the evaluated split when the exits of this point are dealt
  // to the examples at random: random exits with the same average depth. Else NaN.
  double shuffled_score = std::numeric_limits<double>::quiet_NaN();
};

struct ReliabilityBin {
  size_t layer = 0, n = 0;
  double confidence = 0, accuracy = 0;  // means
};

struct Method {
  std::string name;
  std::vector<MethodPoint> points = {};
  // Exits only: losses (consistency with the last layer) of every calibration and every evaluated
  // example at every threshold of the grid, (n_calibration + n_evaluated, n_grid).
  std::vector<float> losses = {};
  size_t n_grid = 0;
  std::vector<ReliabilityBin> reliability =
      {};              // max-prob only: ten bins a layer, empty ones left out
  ExitRule rule = {};  // exits only; thresholds: set_point()
};

// (n_layer + 1) the answers of the heads of layers 0 .. L, from which baselines are made.
std::vector<MethodPoint> layer_points(const SweepTask& task);

// layers: of layer_points().
Method embedding_method(std::span<const MethodPoint> layers);
Method fixed_method(std::span<const MethodPoint> layers);
Method best_fixed_method(const SweepTask& task, std::span<const MethodPoint> layers);
Method random_method(const SweepTask& task, std::span<const MethodPoint> layers,
                     const SweepOptions& options);
Method oracle_method(const SweepTask& task, std::span<const MethodPoint> layers,
                     const SweepOptions& options);
Method exit_method(const SweepTask& task, Measure measure, const SweepOptions& options);

// The layer from 1 to `deepest` that leads on calibration rows; the first of equal ones.
size_t best_layer(const SweepTask& task, std::span<const MethodPoint> layers, size_t deepest);
// Gold values of the calibration rows.
std::vector<double> calibration_gold(const SweepTask& task);
// The leading metric; 0 where it is not defined (a constant answer correlates with nothing).
double leading_score(const SweepTask& task, std::span<const double> answer,
                     std::span<const double> gold);

}  // namespace fathom
