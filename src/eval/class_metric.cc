// SPDX-License-Identifier: Apache-2.0
#include "eval/class_metric.h"

#include <cmath>
#include <vector>

namespace fathom {
namespace {

// R_K: covariance of truth and prediction over the root of their variances.
double matthews(const std::vector<double>& count, size_t n_class, double n) {
  double right = 0, both = 0, truth2 = 0, predicted2 = 0;
  for (size_t k = 0; k < n_class; ++k) {
    double in_truth = 0, in_predicted = 0;
    for (size_t j = 0; j < n_class; ++j) {
      in_truth += count[k * n_class + j];
      in_predicted += count[j * n_class + k];
    }
    right += count[k * n_class + k];
    both += in_truth * in_predicted;
    truth2 += in_truth * in_truth;
    predicted2 += in_predicted * in_predicted;
  }
  const double variance = (n * n - predicted2) * (n * n - truth2);
  return variance > 0 ? (right * n - both) / std::sqrt(variance) : 0;
}

}  // namespace

double class_metric(TaskMetric metric, std::span<const double> truth,
                    std::span<const double> predicted, size_t n_class, Multiplicities times) {
  FATHOM_ASSERT(truth.size() == predicted.size() && n_class >= 2);
  std::vector<double> count(n_class * n_class);  // (truth, predicted)
  double n = 0, right = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    const double weight = times.empty() ? 1 : times[i];
    if (weight == 0) continue;
    if (std::isnan(predicted[i])) return std::nan("");
    const auto t = static_cast<size_t>(truth[i]), p = static_cast<size_t>(predicted[i]);
    count[t * n_class + p] += weight;
    n += weight;
    if (t == p) right += weight;
  }
  if (n == 0) return std::nan("");
  if (metric == TaskMetric::kAccuracy) return right / n;
  if (metric == TaskMetric::kMatthews) return matthews(count, n_class, n);
  FATHOM_ASSERT(metric == TaskMetric::kF1);
  double wrong = 0;  // false positives and false negatives of class 1
  for (size_t k = 0; k < n_class; ++k)
    if (k != 1) wrong += count[k * n_class + 1] + count[n_class + k];
  const double tp = count[n_class + 1];
  return tp + wrong > 0 ? 2 * tp / (2 * tp + wrong) : 0;
}

}  // namespace fathom
