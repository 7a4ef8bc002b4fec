// SPDX-License-Identifier: Apache-2.0
// A task's examples as the input of a head, and the head's answers.
#pragma once

#include <span>
#include <vector>

#include "base/matrix.h"
#include "eval/dataset.h"
#include "probe/postprocess.h"
#include "probe/probe.h"

namespace fathom {

struct TaskFeatures {
  std::vector<float> values;  // (n, dim)
  size_t n = 0, dim = 0;

  Matrix<const float> view() const { return {values.data(), n, dim}; }
};

// One example's features after post-processing, appended. vectors: (dim), of a pair (2, dim).
void append_features(const Task& task, const Postprocess& post, std::span<const float> vectors,
                     std::vector<float>& out);

// vectors: (n, dim), of pairs (n, 2, dim).
TaskFeatures features_of(const Task& task, std::span<const float> vectors, size_t n);

// The class, or the value of a regression. features: (dim).
double answer_of(const LinearHead& head, std::span<const float> features);
std::vector<double> answers_of(const LinearHead& head, const TaskFeatures& features);  // (n)

}  // namespace fathom
