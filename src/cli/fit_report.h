// SPDX-License-Identifier: Apache-2.0
// What `fathom fit` found, as a table, as files and as the `fitted` field of a policy.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/fit_exit.h"
#include "eval/fit_heads.h"
#include "report/table.h"

namespace fathom::cli {

// Heads by the same protocol on vectors that no model made: "glove", "bag".
struct BaselineFit {
  std::string name;
  LayerFit fit;
  OrderedJson about;
};

struct FitReport {
  OrderedJson about;                // command, model, embedding, data, protocol
  const Task* task = nullptr;       // nullptr: texts without labels
  std::vector<std::string> layers;  // names, (n_layer of the cache)
  std::vector<LayerFit> fits;       // (n_layer); without labels only `post`
  std::vector<BaselineFit> baselines;
  std::optional<LearnedToExit> learned;
};

// One row a layer, then the baselines: the task's metrics on the evaluated split, C and temperature.
Table curve_table(const FitReport& report);
OrderedJson curve_json(const FitReport& report);
OrderedJson baselines_json(const FitReport& report);

// All heads, prototypes, post-processings and learned-to-exit: safetensors with arrays
// "layer.<name>.head.weight", ... and `about` and the curve in __metadata__ under "fathom_heads".
void write_heads(const std::filesystem::path& path, const FitReport& report);

// A submission for GLUE's server: index and prediction of every row. predicted: classes or scores.
void write_submission(const std::filesystem::path& path, const Task& task,
                      std::span<const double> predicted);

// The layer with the best leading metric; the first of equal ones.
size_t best_layer(const FitReport& report);

}  // namespace fathom::cli
