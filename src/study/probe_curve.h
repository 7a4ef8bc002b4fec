// SPDX-License-Identifier: Apache-2.0
// A linear probe at every depth, for tasks that a cosine cannot answer: single texts, or more than
// two classes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "baseline/baseline.h"
#include "eval/dataset.h"
#include "study/feature_source.h"
#include "study/fit_heads.h"

namespace fathom {

struct ProbeOptions {
  size_t max_train = 5000;  // rows that heads are fitted on, drawn by the seed
  size_t sample = 0;        // rows of the split to answer, drawn by the seed; 0: all
  size_t n_fold = 5;        // of a small task of a user's own
  uint64_t seed = 1;
  std::vector<BaselineSpec> baselines = {};
};

// Classes that heads answer with.
struct ProbeAnswers {
  std::string system;                          // "rwkv" or a baseline
  std::vector<std::vector<double>> evaluated;  // (n_layer, n_row); one layer of a baseline
  std::vector<std::vector<double>> held_out;   // (n_layer, n_held_out)
};

struct ProbeCurve {
  Dataset evaluated;  // what figures are of: a split, or all rows where folds were answered in turn
  std::vector<double> gold, held_out_gold;
  std::vector<ProbeAnswers> systems;  // the model first
  std::vector<std::unique_ptr<const Baseline>> baselines;
  std::string held_out_name;       // "1000 calibration rows"; "" with none
  std::vector<std::string> notes;  // how it was done
};

// Heads see most of the train rows; those kept for calibration are answered to choose a layer by. A
// small task of a user's own (kSmallTask rows, or folds asked for) is answered by cross-validation
// instead. Throws as load_dataset(), fit_heads(), FeatureSource::vectors().
ProbeCurve probe_layers(const Task& task, Split split, const std::filesystem::path& root,
                        const ProbeOptions& options, FeatureSource& source);

}  // namespace fathom
