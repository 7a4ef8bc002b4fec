// SPDX-License-Identifier: Apache-2.0
// From heads to an early-exit policy: the rule, the thresholds for a target, and its figures on
// other splits.
#pragma once

#include <string>
#include <vector>

#include "depth/policy_file.h"
#include "study/fit_exit.h"
#include "study/fit_result.h"

namespace fathom {

struct PolicyRequest {
  std::string measure = {};  // "": entropy, or saturation where there are no classes
  std::string exits = "all", loss = "consistency";
  size_t streak = 1;
  double alpha = 1, tolerance = 0.05;
  ExitTarget target = {};
};

// The vectors of a split, what they should answer and how long the texts are.
struct PolicySplit {
  const FeatureCache* cache = nullptr;  // nullptr: there is no such split
  std::vector<double> gold;             // (n_example), none without labels
  std::vector<size_t> n_token;          // (n_text)
};

struct PolicyInputs {
  const Task* task;  // nullptr: texts without labels
  PolicySplit train, evaluated;
  const FitRows& rows;
  const Model& model;
  const EncodeOptions& encode;
  ThreadPool& pool;
};

std::string describe(const ExitTarget& target);
// Throws UsageError: neither "consistency" nor "risk", or risk without classes.
ExitLoss parse_loss(const std::string& text, const Task* task);

// Layers of --exits and the last one, rising. Throws UsageError.
std::vector<size_t> exit_layers(const std::string& text, size_t n_layer);

// `fitted` of the file holds result.about, the curve, "calibration" and, if there is such a split,
// the figures of the evaluated one under its name. Sets result.learned where the measure is that.
// Throws Error where no threshold meets the target, UsageError for exits that cannot be.
PolicyFile fit_policy(const PolicyRequest& request, const PolicyInputs& inputs, FitResult& result);

}  // namespace fathom
