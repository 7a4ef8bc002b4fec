// SPDX-License-Identifier: Apache-2.0
// A task prepared for a sweep or for advice: its texts, their cached vectors at all layers, and
// heads fitted on them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "study/feature_source.h"
#include "study/sweep.h"

namespace fathom {

struct TaskOptions {
  std::string data = {};      // the root of the data sets; "": find_data_root()
  std::string post = "none";  // as parse_postprocess() takes it
  size_t max_train = 0;       // training rows, drawn by the seed; 0: all
  size_t calibration = 2;     // tenths of them that are kept for thresholds, 1 to 8
  uint64_t seed = 1;          // of the cuts
  // Rows of another task to calibrate on instead, as parse_calibrate_on() takes them: "" for none.
  std::string calibrate_on = {};
};

// Splits of a task. Does not move: texts point into the data sets.
struct TaskData {
  // Throws MissingData without a train split or the split that is reported. The listener gets notes
  // of rows left out.
  TaskData(const Task& task, const TaskOptions& options, const Listener& listener);
  TaskData(const TaskData&) = delete;

  const Task& task;
  Dataset train, evaluated;
  size_t n_own = 0;  // rows of train that are its own; behind them those of calibrate_on
  std::vector<std::string_view> train_texts, evaluated_texts;
  std::vector<std::string> notes;  // what a reader must know: rows drawn or left out
  OrderedJson left_out;            // of each split, in numbers
};

// Vectors and heads of all layers. Does not move: `task` refers to the rest.
struct PreparedTask {
  PreparedTask(const TaskData& data, const TaskOptions& options, FeatureSource& source);
  PreparedTask(const PreparedTask&) = delete;

  const TaskData& data;
  FeatureCache train_vectors, evaluated_vectors;
  SweepSplit train, evaluated;
  FitRows rows;
  std::vector<LayerFit> fits;
  SweepTask task;
};

}  // namespace fathom
