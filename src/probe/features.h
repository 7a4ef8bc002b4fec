// SPDX-License-Identifier: Apache-2.0
// What a head sees: the pooled vector of a sentence, or a function of the two vectors of a pair.
//
// u, v: pooled vectors of one layer, (dim), post-processed if the head was fitted on such.
// Pure functions: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fathom {

enum class FeatureKind : uint8_t {
  kPooled,         // u
  kSymmetricPair,  // |u - v|, u * v, cos(u, v): the order of the two sentences does not matter
  kOrderedPair,    // u, v, |u - v|, u * v, cos(u, v): it does
};
FeatureKind parse_feature_kind(std::string_view name);  // Error
std::string_view name_of(FeatureKind kind);  // "pooled", "symmetric-pair", "ordered-pair"

inline bool takes_pair(FeatureKind kind) { return kind != FeatureKind::kPooled; }

// dim, 2 dim + 1 or 4 dim + 1.
size_t feature_dim(FeatureKind kind, size_t dim);

// out: (feature_dim). v is empty for kPooled. The cosine with a zero vector is 0.
void build_features(FeatureKind kind, std::span<const float> u, std::span<const float> v,
                    std::span<float> out);

// cos(u, v) in double; 0 if either is the zero vector.
double cosine_of(std::span<const float> u, std::span<const float> v);

}  // namespace fathom
