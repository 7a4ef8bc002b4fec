// SPDX-License-Identifier: Apache-2.0
// Ridge regression in closed form: the W that minimises |X W - Y|^2 + kappa |W|^2 is
// (X^T X + kappa I)^-1 X^T Y. In double; one thread at a time.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/matrix.h"

namespace fathom {

// X^T X and X^T Y, gathered block by block so that X is never held in double.
class RidgeSystem {
 public:
  // x has n_feature columns, y n_target.
  RidgeSystem(size_t n_feature, size_t n_target);

  // Some rows of X and the same rows of Y.
  void add(Matrix<const double> x, Matrix<const double> y);

  // W, (n_feature, n_target). kappa > 0. Throws Error if the system cannot be solved (numbers that
  // are not finite).
  std::vector<double> solve(double kappa) const;

 private:
  size_t n_feature_, n_target_;
  std::vector<double> gram_;  // (n_feature, n_feature); the lower triangle counts
  std::vector<double> xty_;   // (n_feature, n_target)
};

// The map M from vectors of one layer to those of another, for rows as examples: x M ~ y.
// x: (n, d), y: (n, m); both are taken as they are (centre them first). Returns (d, m).
std::vector<float> fit_linear_map(Matrix<const float> x, Matrix<const float> y, double kappa);

}  // namespace fathom
