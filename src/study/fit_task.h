// SPDX-License-Identifier: Apache-2.0
// Fits a task: heads at every layer, an early-exit policy, and answers for GLUE's server, from one
// pass over the texts. `fathom fit` calls these functions in the order of this file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "baseline/baseline.h"
#include "depth/policy_file.h"
#include "eval/dataset.h"
#include "study/feature_source.h"
#include "study/fit_policy.h"
#include "study/fit_result.h"
#include "text/sentences.h"

namespace fathom {

// What is fitted on. Does not copy: texts point into the rest.
struct FitData {
  FitData() = default;
  FitData(FitData&&) = default;
  FitData& operator=(FitData&&) = default;

  const Task* task = nullptr;      // nullptr: texts without labels
  std::string source;              // the name of the task, or where the texts come from
  Dataset train, evaluated;        // of a task
  size_t n_own = 0;                // rows of train that are its own: see calibrate_on()
  bool has_evaluated = false;      // the data may lack the split that is reported
  std::vector<std::string> lines;  // owns the texts without labels
  std::vector<std::string_view> texts, evaluated_texts;
  std::vector<std::string> notes;
  TextPlace place;  // of texts without labels
};
// The train split and, if it is there, the one that is reported. Throws Error: no train split, or
// one without rows of a class.
FitData fit_data(const Task& task, const std::filesystem::path& root);
// Rows of another task to calibrate on instead, `on` as parse_calibrate_on() takes it: they are put
// behind those of train, and what they hold is left out of it. Before open_baselines().
void calibrate_on(FitData& data, const std::string& on, const std::filesystem::path& root,
                  uint64_t seed);
// Texts without labels. source: their file; "-" is standard input.
FitData fit_data(Sentences sentences, const std::string& source);

// A baseline for the texts of a task.
struct FitBaseline {
  std::unique_ptr<const Baseline> vectors;
  OrderedJson about;   // of what reports say; of word vectors also how many of the words are known
  bool warns = false;  // knows less than a tenth of the words
};
// Notes on them go in front of the data's. Throws as Baseline::open().
std::vector<FitBaseline> open_baselines(const std::vector<BaselineSpec>& specs, FitData& data);

struct FitTaskOptions {
  std::string post = "none";  // as parse_postprocess() takes it
  size_t calibration = 2;     // tenths of the train rows kept for thresholds; 0: all fit heads
  uint64_t seed = 1;          // of the cuts
  size_t n_resample = 2000;
  std::string command = {};  // for the record: what a user typed
};
// Of texts without labels only post-processing is fitted. Throws as part_rows(), fit_heads() and
// FeatureSource::vectors().
FitResult fit_task(const FitData& data, std::span<const FitBaseline> baselines,
                   const FitTaskOptions& options, FeatureSource& source);

// An early-exit policy from these heads: see fit_policy.h. Sets result.learned. Where calibration
// rows are not like those that are reported, the file and the listener are told (study/shift.h).
PolicyFile fit_exits(const PolicyRequest& request, const FitData& data, FitResult& result,
                     FeatureSource& source);

// What GLUE's server is asked about: the rows without labels of the task; of MNLI the diagnostic
// set, too. Notes name what is missing.
std::vector<Dataset> load_submissions(const Task& task, const std::filesystem::path& root,
                                      std::vector<std::string>& notes);
// The answers, classes or scores, of the heads of best_layer().
std::vector<double> answer(const Dataset& rows, const FitResult& result, FeatureSource& source);

}  // namespace fathom
