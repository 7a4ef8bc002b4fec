// SPDX-License-Identifier: Apache-2.0
// Metrics of a sample of predictions: correlation, ranking, classification. For the metrics of
// bootstrap resamples see ranked_pairs.h, which these functions share their code with.
//
// NaN means "not defined": a correlation of fewer than two pairs or of a constant side, AUC where
// a class is missing, accuracy of nothing. A zero denominator in F1, Matthews (MCC) and average
// precision gives 0 instead, as in scikit-learn. If any score or target is NaN or infinite, every
// metric of those scores is NaN: an overflowed embedding must not get a grade.
//
// The spans of one call have equal lengths (else a bug: aborts). Binary metrics of scores want
// targets 0 and 1 (1 is positive) and throw Error otherwise. Pure functions: any thread.
#pragma once

#include <cstddef>
#include <limits>
#include <span>

namespace fathom {

inline constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

double pearson(std::span<const double> x, std::span<const double> y);

// Pearson of average ranks; -0.0 and 0.0 tie.
double spearman(std::span<const double> x, std::span<const double> y);

// Share of (positive, negative) pairs in the right order; a tied pair counts 1/2.
double auc(std::span<const double> score, std::span<const double> target);

// Sum over distinct scores, highest first, of precision times the step in recall: not
// interpolated, and tied scores are one step. 0 without positives.
double average_precision(std::span<const double> score, std::span<const double> target);

// Outcomes of a binary classification; double, so that no product of them overflows.
struct BinaryCounts {
  double tp = 0, tn = 0, fp = 0, fn = 0;
};

// Class 1 is positive, any other is not. truth, predicted: (n).
BinaryCounts count_binary(std::span<const int> truth, std::span<const int> predicted);

double accuracy(const BinaryCounts& counts);
double f1(const BinaryCounts& counts);  // of the positive class
double mcc(const BinaryCounts& counts);

struct MulticlassMetrics {
  double accuracy;
  double macro_f1;  // mean F1 over the classes that occur in truth or predicted
  double mcc;       // Gorodkin's R_K: MCC for any number of classes
};
// truth, predicted: (n), any integers.
MulticlassMetrics multiclass_metrics(std::span<const int> truth, std::span<const int> predicted);

// Spearman of scores with a binary target, as a function of AUC alone: with p the share of
// positives and t the sizes of the groups of tied scores,
//   rho = sqrt(3 p (1 - p)) (2 auc - 1) n / sqrt(n^2 - 1) / sqrt(1 - sum(t^3 - t) / (n^3 - n)).
// NaN where spearman() is. A second way to the same number, to test either by the other.
double spearman_from_auc(double auc, std::span<const double> score, std::span<const double> target);

}  // namespace fathom
