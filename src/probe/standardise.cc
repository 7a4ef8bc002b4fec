// SPDX-License-Identifier: Apache-2.0
#include "probe/standardise.h"

#include <cmath>

#include "base/error.h"

namespace fathom {

Standardisation Standardisation::of(Matrix<const float> x, std::span<const size_t> rows) {
  FATHOM_ASSERT(!rows.empty());
  Standardisation s{std::vector<double>(x.cols()), std::vector<double>(x.cols())};
  const double n = static_cast<double>(rows.size());
  for (size_t row : rows)
    for (size_t i = 0; i < x.cols(); ++i) s.mean[i] += x.row(row)[i];
  for (double& m : s.mean) m /= n;
  for (size_t row : rows)
    for (size_t i = 0; i < x.cols(); ++i) {
      const double d = x.row(row)[i] - s.mean[i];
      s.scale[i] += d * d;
    }
  for (size_t i = 0; i < x.cols(); ++i) {
    const double deviation = std::sqrt(s.scale[i] / n);
    // What rounding leaves of a constant is not variance.
    s.scale[i] = deviation > 1e-9 * std::abs(s.mean[i]) ? 1 / deviation : 0;
  }
  return s;
}

void Standardisation::apply(std::span<const float> x, std::span<double> out) const {
  FATHOM_ASSERT(x.size() == mean.size() && out.size() == x.size() + 1);
  for (size_t i = 0; i < x.size(); ++i) out[i] = (x[i] - mean[i]) * scale[i];
  out[x.size()] = 1;
}

LinearHead unstandardised(const Standardisation& s, std::span<const double> weight,
                          FeatureKind features, size_t n_class) {
  LinearHead head{.features = features, .n_class = n_class, .weight = {}, .bias = {}};
  const size_t p = s.mean.size();
  FATHOM_ASSERT(weight.size() == head.n_row() * (p + 1));
  for (size_t row = 0; row < head.n_row(); ++row) {
    const double* w = weight.data() + row * (p + 1);
    double bias = w[p];
    for (size_t i = 0; i < p; ++i) {
      head.weight.push_back(static_cast<float>(w[i] * s.scale[i]));
      bias -= w[i] * s.scale[i] * s.mean[i];
    }
    head.bias.push_back(static_cast<float>(bias));
  }
  return head;
}

}  // namespace fathom
