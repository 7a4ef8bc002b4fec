// SPDX-License-Identifier: Apache-2.0
#include "probe/features.h"

#include <cmath>

#include "base/error.h"

namespace fathom {

FeatureKind parse_feature_kind(std::string_view name) {
  for (FeatureKind kind :
       {FeatureKind::kPooled, FeatureKind::kSymmetricPair, FeatureKind::kOrderedPair})
    if (name == name_of(kind)) return kind;
  throw Error(
      concat("features: expected pooled, symmetric-pair or ordered-pair, got '", name, "'"));
}

std::string_view name_of(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::kPooled:
      return "pooled";
    case FeatureKind::kSymmetricPair:
      return "symmetric-pair";
    case FeatureKind::kOrderedPair:
      return "ordered-pair";
  }
  FATHOM_ASSERT(!"unknown FeatureKind");
}

size_t feature_dim(FeatureKind kind, size_t dim) {
  switch (kind) {
    case FeatureKind::kPooled:
      return dim;
    case FeatureKind::kSymmetricPair:
      return 2 * dim + 1;
    case FeatureKind::kOrderedPair:
      return 4 * dim + 1;
  }
  FATHOM_ASSERT(!"unknown FeatureKind");
}

void build_features(FeatureKind kind, std::span<const float> u, std::span<const float> v,
                    std::span<float> out) {
  const size_t dim = u.size();
  FATHOM_ASSERT(out.size() == feature_dim(kind, dim) && v.size() == (takes_pair(kind) ? dim : 0));
  float* to = out.data();
  if (kind != FeatureKind::kSymmetricPair)
    for (size_t i = 0; i < dim; ++i) *to++ = u[i];
  if (kind == FeatureKind::kPooled) return;
  if (kind == FeatureKind::kOrderedPair)
    for (size_t i = 0; i < dim; ++i) *to++ = v[i];
  for (size_t i = 0; i < dim; ++i) *to++ = std::abs(u[i] - v[i]);
  for (size_t i = 0; i < dim; ++i) *to++ = u[i] * v[i];
  *to = static_cast<float>(cosine_of(u, v));
}

double cosine_of(std::span<const float> u, std::span<const float> v) {
  FATHOM_ASSERT(u.size() == v.size());
  double uv = 0, uu = 0, vv = 0;
  for (size_t i = 0; i < u.size(); ++i) {
    uv += double{u[i]} * v[i];
    uu += double{u[i]} * u[i];
    vv += double{v[i]} * v[i];
  }
  return uu == 0 || vv == 0 ? 0 : uv / (std::sqrt(uu) * std::sqrt(vv));
}

}  // namespace fathom
