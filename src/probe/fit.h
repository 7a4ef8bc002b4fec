// SPDX-License-Identifier: Apache-2.0
// Fitting heads on frozen features: logistic regression for two classes (liblinear, L2R_LR),
// softmax regression for more (liblbfgs), ridge regression for scores (closed form).
//
// All minimise 1/2 |w|^2 + C * sum of losses over standardised features. The bias is the weight of a
// constant 1 and regularised like any other, as in liblinear; that of a ridge is the mean score. C is chosen from a few values on one
// cut: of at most 20,000 of the rows a stratified tenth is held out, and the C with the smallest
// mean loss there wins. The head is then fitted on all rows.
//
// x: (n, n_feature) features of build_features(); gold: (n), class indices 0 .. n_class - 1, or for
// n_class 1 the scores. Deterministic; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "probe/probe.h"

namespace fathom {

struct FitOptions {
  std::vector<double> c = {1e-4, 1e-3, 1e-2, 1e-1, 1};
  size_t max_cut_rows = 20000;
  uint64_t seed = 1;
};

struct FittedHead {
  LinearHead head;  // its temperature is that of the cut
  double c = 0;
  std::vector<double> cut_loss;  // (options.c): mean loss on the held-out tenth: negative log
                                 // likelihood, or half the squared error
};

// Throws Error: fewer than 20 rows, a class without rows, numbers that are not finite.
FittedHead fit_head(FeatureKind features, Matrix<const float> x, std::span<const double> gold,
                    size_t n_class, const FitOptions& options = {});

// T > 0 that minimises the mean of -log softmax(z / T)[label]. logits: (n, n_class), divided by no
// temperature; labels: (n). Between 1/20 and 20; 1 without rows.
double fit_temperature(Matrix<const double> logits, std::span<const uint32_t> labels);

// Class means and deviations of the features. Throws Error for a class without rows.
Prototypes fit_prototypes(Matrix<const float> x, std::span<const uint32_t> labels, size_t n_class);

// The three solvers behind fit_head(). `rows` of x are used; weight: (n_row, n_feature + 1) for
// standardised features and the constant.
struct Standardisation;
struct Problem {
  Matrix<const float> x;
  std::span<const double> gold;  // of all rows of x
  std::span<const size_t> rows;
  const Standardisation& standardisation;
  size_t n_class;
};
std::vector<double> fit_binary(const Problem& problem, double c);
struct SoftmaxOptions {
  std::span<const double> start = {};  // as weight; {}: zeros
  // To a gradient of 5e-7, so that fits from any two starts agree to 1e-6 in every weight as long as
  // rounding lets them. Else as near as L-BFGS comes, some thousandths: enough to choose C by.
  bool exact = true;
};
std::vector<double> fit_softmax(const Problem& problem, double c,  // n_class 2 or more
                                const SoftmaxOptions& options = {});
// One solution for each C: they share one Gram matrix.
std::vector<std::vector<double>> fit_scores(const Problem& problem, std::span<const double> c);

}  // namespace fathom
