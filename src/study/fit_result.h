// SPDX-License-Identifier: Apache-2.0
// The result of fitting a task: heads of every layer, their figures, and those of baselines.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "study/fit_heads.h"
#include "study/sweep_score.h"

namespace fathom {

// Heads by the same protocol on vectors that no model made: "glove", "bag".
struct BaselineFit {
  std::string name;
  LayerFit fit;
  OrderedJson about;
  std::string title;  // in the table
};

// Of the leading metric, 95 %, over the evaluated examples; heads stay as they are.
struct FitSpread {
  Estimate score, over_layer_0;  // the difference is paired
};

struct FitResult {
  OrderedJson about;                // command, model, embedding, data, protocol
  const Task* task = nullptr;       // nullptr: texts without labels
  std::vector<std::string> layers;  // names, (n_layer of the cache)
  std::vector<LayerFit> fits;       // (n_layer); without labels only `post`
  std::vector<BaselineFit> baselines;
  std::vector<FitSpread> spread;  // of fits, then of baselines; empty without evaluated examples
  std::optional<LearnedToExit> learned;
  FitRows rows = {};  // of the train split, by what they were for
  // The vectors of the splits, (n_text) at all layers; of texts without labels only the first.
  std::optional<FeatureCache> train = {}, evaluated = {};
};

// Percentile bootstrap. gold: (n_example) of the evaluated split. A metric that is not defined on a
// resample counts 0.
std::vector<FitSpread> spread_of(const FitResult& result, std::span<const double> gold,
                                 const BootstrapOptions& options, ThreadPool& pool);

// The layer with the best leading metric; the first of equal ones.
size_t best_layer(const FitResult& result);

// A line of a table of figures: a layer or a baseline.
struct FitLine {
  std::string name;
  const LayerFit& fit;
  const FitSpread* spread;  // nullptr: there is none
};
// Layers, then baselines. They refer to the result.
std::vector<FitLine> lines_of(const FitResult& result);

// Figures of every layer, and of every baseline, as policy files and files of heads hold them.
OrderedJson curve_json(const FitResult& result);
OrderedJson baselines_json(const FitResult& result);

}  // namespace fathom
