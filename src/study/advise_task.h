// SPDX-License-Identifier: Apache-2.0
// The cheapest depth policy that keeps a task's quality, with the policy file that runs it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "depth/policy_file.h"
#include "study/advise.h"
#include "study/file_policy.h"
#include "study/prepared_task.h"
#include "study/shift.h"

namespace fathom {

struct AdviseOptions {
  // What to choose from: "fixed", "exit:MEASURE", "mask:FILE", "route:FILE", "exit:FILE".
  std::vector<std::string> policies = {"fixed"};
  AdviceTarget target = {};
  bool match_lengths = false;  // draw the calibration rows again by length: see shift.h
  bool match_shift = false;    // and by confidence, with an estimated ratio: see density_ratio.h
  size_t n_resample = 2000;
  TaskOptions task = {};     // as the task was prepared
  std::string command = {};  // for the record: what a user typed
};
// "fixed,exit" -> names of policies that a file can hold. Throws UsageError.
std::vector<std::string> parse_candidates(const std::string& text);

// Those of them that mean something for the task, each once: on two classes largest probability,
// margin and entropy order all examples alike, and the first of them stands for the others, so that
// they do not share epsilon. left_out: what became of the others, for people.
std::vector<std::string> candidates_for(const std::vector<std::string>& policies, const Task& task,
                                        std::vector<std::string>* left_out = nullptr);

// What the calibration rows can certify at best, told before vectors are made: as if full depth
// were right on all of them.
AdviceResolution resolution_before(const TaskData& data, const AdviseOptions& options);

struct AdvisedPolicy {
  Advice advice;
  ShiftTest shift;                     // calibration rows against those that are reported
  std::optional<MatchedRows> matched;  // match_lengths, match_shift
  std::optional<ShiftTest> after;      // match_shift: of the rows that stayed
  double uncovered = 0;                // match_shift: of max_loss, for rows that no weight reaches
  std::vector<std::string> warnings;   // of the advice, then of the shift
  std::vector<MethodPoint> layers;     // layer_points(): the last one is full depth
  std::vector<Method> methods;         // what was chosen from
  std::vector<std::unique_ptr<FilePolicy>> files;  // of methods from files, else nullptr
  std::string name, setting;                       // of what was chosen
  PolicyFile file;                                 // a fixed depth is a mask of the first blocks

  // What was chosen; nullptr: full depth.
  const Method* method() const;
  const FilePolicy* file_policy() const;  // nullptr: not from a file
  const MethodPoint& point() const;
};

// The task and the source must outlive the result. Throws Error: no policy fits the task, and as
// advise(), match_lengths() and match_shift(); more than half of the loss is needed for rows that no
// weight reaches.
AdvisedPolicy advise_task(const PreparedTask& prepared, const AdviseOptions& options,
                          FeatureSource& source);

}  // namespace fathom
