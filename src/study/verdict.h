// SPDX-License-Identifier: Apache-2.0
// What an evaluation shows about layers, in numbers. results/eval_verdict.h puts it into words.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "eval/bootstrap.h"
#include "eval/layer_choice.h"

namespace fathom {

struct LayerFigure {
  size_t layer = 0;  // as depth/layers.h numbers it
  double value = 0, low = 0, high = 0;
  double flops_share = 1;  // of the deepest layer that was evaluated
};

struct LayerVerdict {
  std::string metric;         // "spearman", "accuracy", ...
  std::string chosen_on;      // "1000 train pairs", "this split"
  bool on_evaluated = false;  // the choice was made on the rows that the figures are of
  LayerFigure best = {}, shallowest = {}, deepest = {};
  // Of the shallowest minus the best on the evaluated rows, at the level of the choice.
  double difference = 0, low = 0, high = 0;
  size_t n_compared = 0;
};

// One set of rows: the leading metric of every layer as a function of the resample.
struct VerdictRows {
  std::vector<Statistic> statistics;  // (n_layer)
  size_t n_row = 0;
  std::string name;  // of LayerVerdict::chosen_on
};

// layers, flops: (n_layer) from shallow to deep. choice: nullptr: the layer is chosen on
// `evaluated`.
// nullopt: no layer has a figure.
std::optional<LayerVerdict> judge_layers(std::span<const size_t> layers,
                                         std::span<const double> flops, const std::string& metric,
                                         const VerdictRows& evaluated, const VerdictRows* choice,
                                         const BootstrapOptions& options, ThreadPool& pool);

}  // namespace fathom
