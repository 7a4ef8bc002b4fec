// SPDX-License-Identifier: Apache-2.0
#include "eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/error.h"
#include "eval/ranked_pairs.h"

namespace fathom {
namespace {

// numerator / sqrt(a b), 0 where a or b is 0. Roots first: the product of four margins overflows
// int64 from 1e5 counts on.
double correlation_or_zero(long double numerator, long double a, long double b) {
  if (a <= 0 || b <= 0) return 0;
  return static_cast<double>(std::clamp(numerator / (std::sqrt(a) * std::sqrt(b)), -1.0L, 1.0L));
}

}  // namespace

double pearson(std::span<const double> x, std::span<const double> y) {
  return RankedPairs(x, y).pearson();
}

double spearman(std::span<const double> x, std::span<const double> y) {
  return RankedPairs(x, y).spearman();
}

double auc(std::span<const double> score, std::span<const double> target) {
  return RankedPairs(score, target).auc();
}

double average_precision(std::span<const double> score, std::span<const double> target) {
  return RankedPairs(score, target).average_precision();
}

BinaryCounts count_binary(std::span<const int> truth, std::span<const int> predicted) {
  FATHOM_ASSERT(truth.size() == predicted.size());
  BinaryCounts counts;
  for (size_t i = 0; i < truth.size(); ++i) {
    if (truth[i] == 1)
      ++(predicted[i] == 1 ? counts.tp : counts.fn);
    else
      ++(predicted[i] == 1 ? counts.fp : counts.tn);
  }
  return counts;
}

double accuracy(const BinaryCounts& counts) {
  const double n = counts.tp + counts.tn + counts.fp + counts.fn;
  return n > 0 ? (counts.tp + counts.tn) / n : kUndefined;
}

double f1(const BinaryCounts& counts) {
  const double denominator = 2 * counts.tp + counts.fp + counts.fn;
  return denominator > 0 ? 2 * counts.tp / denominator : 0;
}

double mcc(const BinaryCounts& counts) {
  const long double tp = counts.tp, tn = counts.tn, fp = counts.fp, fn = counts.fn;
  return correlation_or_zero(tp * tn - fp * fn, (tp + fp) * (tp + fn), (tn + fp) * (tn + fn));
}

MulticlassMetrics multiclass_metrics(std::span<const int> truth, std::span<const int> predicted) {
  FATHOM_ASSERT(truth.size() == predicted.size());
  struct Class {
    double n_true = 0, n_predicted = 0, n_hit = 0;
  };
  std::map<int, Class> classes;
  for (size_t i = 0; i < truth.size(); ++i) {
    ++classes[truth[i]].n_true;
    ++classes[predicted[i]].n_predicted;
    if (truth[i] == predicted[i]) ++classes[truth[i]].n_hit;
  }
  const long double n = static_cast<long double>(truth.size());
  long double n_hit = 0, products = 0, true_squares = 0, predicted_squares = 0, sum_f1 = 0;
  for (const auto& [label, c] : classes) {
    n_hit += c.n_hit;
    products += static_cast<long double>(c.n_true) * c.n_predicted;
    true_squares += static_cast<long double>(c.n_true) * c.n_true;
    predicted_squares += static_cast<long double>(c.n_predicted) * c.n_predicted;
    sum_f1 += 2 * static_cast<long double>(c.n_hit) / (c.n_true + c.n_predicted);
  }
  return {.accuracy = truth.empty() ? kUndefined : static_cast<double>(n_hit / n),
          .macro_f1 = classes.empty()
                          ? 0
                          : static_cast<double>(sum_f1 / static_cast<double>(classes.size())),
          .mcc = correlation_or_zero(n_hit * n - products, n * n - true_squares,
                                     n * n - predicted_squares)};
}

double spearman_from_auc(double auc, std::span<const double> score,
                         std::span<const double> target) {
  FATHOM_ASSERT(score.size() == target.size());
  const double n = static_cast<double>(score.size());
  const double p = static_cast<double>(std::count(target.begin(), target.end(), 1.0)) / n;
  std::vector<double> sorted(score.begin(), score.end());
  std::sort(sorted.begin(), sorted.end());
  double ties = 0;
  for (auto begin = sorted.begin(); begin != sorted.end();) {
    const auto end = std::upper_bound(begin, sorted.end(), *begin);
    const double t = static_cast<double>(end - begin);
    ties += t * t * t - t;
    begin = end;
  }
  const double spread = 1 - ties / (n * n * n - n);
  if (!(spread > 0)) return kUndefined;
  return std::sqrt(3 * p * (1 - p)) * (2 * auc - 1) * n / std::sqrt(n * n - 1) / std::sqrt(spread);
}

}  // namespace fathom
