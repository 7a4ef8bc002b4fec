// SPDX-License-Identifier: Apache-2.0
// Heads of a task at every layer, from cached vectors: the protocol of `fathom fit`.
//
// The train split is cut once, stratified and seeded. Most rows fit heads, a tenth fits
// temperatures and learned-to-exit, and the rest is kept for thresholds, because a guarantee holds
// only for examples that nothing was fitted on. Figures come from another split.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "eval/dataset.h"
#include "probe/fit.h"
#include "probe/postprocess.h"
#include "study/feature_store.h"

namespace fathom {

// The texts of a data set in the order of a cache: a0, b0, a1, b1, ... or one a row.
std::vector<std::string_view> texts_in_order(const Dataset& data);
std::vector<double> golds_of(const Dataset& data);

// Rows of the train split by what they are for, each ascending.
struct FitRows {
  std::vector<size_t> heads, tune, calibration;
};
// gold: (n). n_calibration tenths of the rows become calibration, one becomes tune; with 0 all rows
// fit heads and nothing is left for the rest. Throws Error for fewer rows than tenths.
FitRows part_rows(std::span<const double> gold, size_t n_class, size_t n_calibration,
                  uint64_t seed);

// One split: its vectors (complete) and what they should answer, (n_example).
struct FitSplit {
  const FeatureCache& cache;
  std::vector<double> gold;
};

struct LayerFit {
  Postprocess post;
  FittedHead fitted;
  Prototypes prototypes;             // classes only
  std::vector<double> scores;        // (task.metrics) on the evaluated split; NaN without one
  std::vector<double> answers;       // (n_example) there, classes or scores; empty without one
  std::optional<double> fold_score;  // Task::has_folds(): mean of the leading metric over the folds
};

struct HeadOptions {
  PostprocessOptions post = {};
  FitOptions fit = {};
};

// (n_layer of the cache). Layers are fitted side by side. evaluated: nullptr if there is none.
// `progress` is called with layers done, from any thread, one call at a time.
std::vector<LayerFit> fit_heads(const Task& task, const FitSplit& train, const FitRows& rows,
                                const FitSplit* evaluated, const HeadOptions& options,
                                ThreadPool& pool, const std::function<void(size_t)>& progress = {});

// Post-processing of single texts at layer `i`, fitted on these rows of the cache.
Postprocess fit_layer_post(const PostprocessOptions& options, const FeatureCache& cache, size_t i,
                           std::span<const size_t> rows);

// Class or score of one example from its vectors, (dim) or of a pair (2, dim).
double answer_from(const Task& task, const LayerFit& fit, std::span<const float> vectors);
// Of every example of the cache from the head at layer `i`, (n_example).
std::vector<double> predict(const Task& task, const FeatureCache& cache, size_t i,
                            const LayerFit& fit);

// predicted, gold: (n), classes or scores.
double score_of(TaskMetric metric, std::span<const double> predicted, std::span<const double> gold);

}  // namespace fathom
