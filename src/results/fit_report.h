// SPDX-License-Identifier: Apache-2.0
// What `fathom fit` found, as a table, as files and as the `fitted` field of a policy.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/json.h"
#include "report/table.h"
#include "study/fit_exit.h"
#include "study/fit_heads.h"
#include "study/sweep_score.h"

namespace fathom::cli {

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

struct FitReport {
  OrderedJson about;                // command, model, embedding, data, protocol
  const Task* task = nullptr;       // nullptr: texts without labels
  std::vector<std::string> layers;  // names, (n_layer of the cache)
  std::vector<LayerFit> fits;       // (n_layer); without labels only `post`
  std::vector<BaselineFit> baselines;
  std::vector<FitSpread> spread;  // of fits, then of baselines; empty without evaluated examples
  std::optional<LearnedToExit> learned;
};

// Percentile bootstrap. gold: (n_example) of the evaluated split. A metric that is not defined on a
// resample counts 0.
std::vector<FitSpread> spread_of(const FitReport& report, std::span<const double> gold,
                                 const BootstrapOptions& options, ThreadPool& pool);

// One row a layer, then the baselines: the task's metrics on the evaluated split, C and temperature.
Table curve_table(const FitReport& report);
OrderedJson curve_json(const FitReport& report);
OrderedJson baselines_json(const FitReport& report);

// All heads, prototypes, post-processings and learned-to-exit: safetensors with arrays
// "layer.<name>.head.weight", ... and `about` and the curve in __metadata__ under "fathom_heads".
void write_heads(AtomicFile& out, const FitReport& report);

// A submission for GLUE's server: index and prediction of every row. predicted: classes or scores.
std::string submission_text(const Task& task, std::span<const double> predicted);

// The layer with the best leading metric; the first of equal ones.
size_t best_layer(const FitReport& report);

}  // namespace fathom::cli
