// SPDX-License-Identifier: Apache-2.0
// A task made ready for `fathom sweep` and `fathom advise`: its texts, their cached vectors at all
// layers, and heads fitted on them.
#pragma once

#include <string>
#include <vector>

#include "cli/feature_bench.h"
#include "study/sweep.h"

namespace fathom::cli {

struct TaskFlags {
  FeatureFlags features;
  std::string post = "none";
  size_t max_train = 0, calibration = 2;
  uint64_t seed = 1;

  void add_to(CLI::App& command);
  void check() const;  // what needs no model; throws UsageError
};

// Splits of a task. Does not move: texts point into the data sets.
struct TaskData {
  // Throws MissingData without a train split or the split that is reported.
  TaskData(const Task& task, const TaskFlags& flags);
  TaskData(const TaskData&) = delete;

  const Task& task;
  Dataset train, evaluated;
  std::vector<std::string_view> train_texts, evaluated_texts;
  std::vector<std::string> notes;  // what a reader must know: rows drawn or left out
  OrderedJson left_out;            // of each split, in numbers
};

// Vectors and heads of all layers. Does not move: `task` refers to the rest.
struct PreparedTask {
  PreparedTask(const TaskData& data, const TaskFlags& flags, FeatureBench& bench);
  PreparedTask(const PreparedTask&) = delete;

  const TaskData& data;
  FeatureCache train_vectors, evaluated_vectors;
  SweepSplit train, evaluated;
  FitRows rows;
  std::vector<LayerFit> fits;
  SweepTask task;
};

}  // namespace fathom::cli
