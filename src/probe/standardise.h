// SPDX-License-Identifier: Apache-2.0
// Standardisation of features: zero mean, unit variance, so that one regularisation fits all.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/matrix.h"
#include "probe/probe.h"

namespace fathom {

// x -> (x - mean) scale. Immutable.
struct Standardisation {
  std::vector<double> mean, scale;  // (n_feature); scale is 0 for a constant feature

  // Of `rows` of x, (n, n_feature).
  static Standardisation of(Matrix<const float> x, std::span<const size_t> rows);
  // out: (n_feature + 1), the last a constant 1.
  void apply(std::span<const float> x, std::span<double> out) const;
};

// The same head on features that are not standardised. weight: (n_row, n_feature + 1), the last
// column the bias.
LinearHead unstandardised(const Standardisation& standardisation, std::span<const double> weight,
                          FeatureKind features, size_t n_class);

}  // namespace fathom
