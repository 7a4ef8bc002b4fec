// SPDX-License-Identifier: Apache-2.0
// Metrics of predicted classes for bootstrap resamples: RankedPairs' counterpart for classifiers.
#pragma once

#include <span>

#include "eval/dataset.h"
#include "eval/ranked_pairs.h"

namespace fathom {

// Accuracy, F1 of class 1 or Matthews' coefficient (of more classes Gorodkin's R_K), each example
// counted `times` times; as metrics.h defines them. NaN without examples, or if a prediction is NaN.
// Regression metrics are not known here: a bug. truth, predicted: (n) classes below n_class.
double class_metric(TaskMetric metric, std::span<const double> truth,
                    std::span<const double> predicted, size_t n_class, Multiplicities times = {});

}  // namespace fathom
