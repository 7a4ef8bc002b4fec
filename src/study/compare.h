// SPDX-License-Identifier: Apache-2.0
// Compares two models, or two settings of one model, on the same rows: paired differences.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "study/evaluate.h"

namespace fathom {

// One line: a layer of either and what the second has more.
struct ComparedLayers {
  std::string what;  // "best layer", "deepest layer", "layer 3"
  LayerFigure a, b;
  double difference = 0, low = 0, high = 0, p = 1;  // b minus a, paired, 95 %
  double flops_a = 0, flops_b = 0;                  // of an example
};

struct Comparison {
  std::string task, title, split, metric;
  size_t n_row = 0;
  size_t n_resample = 2000;  // that p was counted on
  std::vector<ComparedLayers> lines;
};

// a, b: the same task, evaluated. Lines are of the layers that each was found best at (EvalResult::
// verdict; else its deepest), of the deepest, and of every layer that both have. Throws Error if
// the rows are not the same.
Comparison compare(const EvalTask& a, const EvalTask& b, const BootstrapOptions& options,
                   ThreadPool& pool);

}  // namespace fathom
