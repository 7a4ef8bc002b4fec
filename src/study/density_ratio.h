// SPDX-License-Identifier: Apache-2.0
// Weights that make calibration rows like rows to come (covariate shift): labels of the rows to come
// are not needed, what answers depend on must be among the features.
//
//   w(x) = density of x among the rows to come / density among the calibration rows
//
// is estimated by a classifier that tells the two kinds of rows apart (odds, times the ratio of their
// counts), and clipped at kLargestRatio. Under clipped weights the calibration rows stand for rows
// whose distribution differs from that of the rows to come by at most `beyond` in total variation,
// so a bound of a loss in [0, 1] holds with `beyond` added (Tibshirani et al., arXiv 1904.06019, for
// the weights; Park et al., arXiv 2106.09848, for rejection). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "study/shift.h"

namespace fathom {

struct DensityRatio {
  std::vector<double> weight;  // (n) of the calibration rows, clipped; mean 1 before that
  double largest = 0;          // of them
  double beyond = 0;           // share of the rows to come that the clipped weights do not reach
  double effective = 0;        // (sum w)^2 / sum w^2: so many equal rows tell as much
};
// More of the rows to come than this beyond the clip: the ratio has no useful bound.
inline constexpr double kMostBeyond = 0.05;
inline constexpr double kLeastEffective = 50;

// here: (n, n_feature) of calibration rows; there: (m, n_feature) of rows to come, without labels.
// Deterministic. Throws Error: fewer than 20 rows of one kind; a ratio without a bound (more than
// kMostBeyond beyond); fewer than kLeastEffective effective rows.
DensityRatio estimate_ratio(Matrix<const float> here, Matrix<const float> there, uint64_t seed);

// Row i stays with chance w_i / largest w: what stays is a sample of the clipped target, to which
// exact tests apply.
MatchedRows reject_rows(const DensityRatio& ratio, uint64_t seed);

// By length, and by how sure the heads of layer 0 and of layer L are, each also squared.
MatchedRows match_shift(const SweepTask& task, uint64_t seed);

}  // namespace fathom
