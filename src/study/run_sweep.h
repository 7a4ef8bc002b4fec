// SPDX-License-Identifier: Apache-2.0
// Runs a sweep, from the texts of its tasks to the result. It runs every policy at several
// operating points on every task and compares them with fixed depth, with intervals. It also checks
// the guarantee over random splits, measures times, and compares exits with stronger fixed depths
// over several seeds.
//
//   OpenModel open({.model = "models/finch-lm"});
//   const Listener quiet;
//   FeatureSource source(open, {.folder = "sweep/features"}, quiet);
//   SweepResult found = run_sweep({.tasks = {&find_task("mrpc")},
//                                  .policies = parse_policies("all"),
//                                  .parts = "sweep/parts"}, source);
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "study/feature_source.h"
#include "study/head_input.h"
#include "study/prepared_task.h"
#include "study/sweep_result.h"

namespace fathom {

struct RunSweepOptions {
  std::vector<const Task*> tasks = {};
  // Of parse_policies(). "fixed" is put in front where it is not among them: it is what all others
  // are held against. A measure that means nothing for a task is passed over there.
  std::vector<std::string> policies = {};
  TaskOptions task = {};
  size_t n_point = 12, streak = 2;  // SweepOptions'
  // The cut of the training rows into heads, tune and calibration is drawn anew for each seed, from
  // task.seed on; which rows these are (task.max_train) is drawn once. Policies and times are of
  // the first seed, SweptTask::over_seeds of all.
  size_t n_seed = 1;
  std::vector<HeadInput> head_inputs = {HeadInput::kLayer, HeadInput::kFirstAndLayer};
  size_t n_resample = 2000;
  bool timing = true;
  size_t time_points = 3;      // of a policy; of fixed depth at least 12
  double pass_seconds = 0.05;  // SweepClock's
  // Folder of results that outlive a kill, each whole or absent: a sweep with the same options goes
  // on behind the last of them, to the same bytes (of times: to those that were kept). "": none.
  std::filesystem::path parts = {};
  std::string command = {};  // SweepResult's
};

// What there is to tell before the sweep ends; each may be empty.
struct SweepEvents {
  std::function<void(const SweptTask&)> swept = {};
  std::function<void(const std::string&)> missing = {};  // "wnli: missing: train (...)"
};

// Stages and notes go to the source's listener. A task without its data is missing from the
// results. Throws Error: no policy file, or one for another model, before any work; none of the
// tasks has its data; what load_dataset() and the encoder throw. One caller at a time for a source.
SweepResult run_sweep(const RunSweepOptions& options, FeatureSource& source,
                      const SweepEvents& events = {});

}  // namespace fathom
