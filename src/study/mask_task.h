// SPDX-License-Identifier: Apache-2.0
// The cost of a mask for a task: heads on the vectors under the mask, evaluated on examples that
// they were not fitted on (docs/methods.md, "Pruning and routing"). One caller at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/dataset.h"
#include "study/mask_objective.h"
#include "study/task_features.h"

namespace fathom {

// Examples of a task: of pairs texts a0, b0, a1, b1, ...
struct TaskExamples {
  MaskTexts texts;
  std::span<const double> gold;  // (n_example)
};

class TaskMaskLoss {
 public:
  // The weight C of heads is chosen once, under the whole model. Throws Error: fewer than 40
  // examples, or a class with fewer than two of them.
  TaskMaskLoss(const Task& task, TaskExamples fitted, TaskExamples held_out, uint64_t seed,
               Workspace& work);

  // Mean loss of the examples of two halves, each by a head fitted on the other: classes the
  // negative log likelihood, scores the squared error as a share of the squared range. A mask under
  // which a vector is not finite has kOverflow.
  double fitted(const BlockMask& mask) const;
  // Of the held-out examples by a head fitted on all the others.
  double held_out(const BlockMask& mask) const;

  static constexpr double kOverflow = 1e3;

 private:
  struct Features : TaskFeatures {
    bool finite;
  };
  Features features(const TaskExamples& examples, const BlockMask& mask) const;
  // Of the examples in `judged`, by a head on those in `learnt`.
  double loss(const Features& learnt_from, std::span<const double> gold,
              std::span<const size_t> learnt, const Features& judged_on,
              std::span<const double> judged_gold, std::span<const size_t> judged) const;

  const Task& task_;
  TaskExamples fitted_, held_out_;
  Workspace& work_;
  std::vector<size_t> half_[2];  // of the fitted examples
  double c_ = 1e-2;
};

}  // namespace fathom
