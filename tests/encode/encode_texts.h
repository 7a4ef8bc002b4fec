// SPDX-License-Identifier: Apache-2.0
// Texts, an encoder over them, and pooling by its definition.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "encode/encoder.h"
#include "model/run_model.h"

namespace fathom::test {

using Texts = std::vector<std::vector<Token>>;

inline constexpr Pooling kPoolings[] = {Pooling::kMean, Pooling::kLast, Pooling::kMax,
                                        Pooling::kWeighted};

inline SyntheticModel small(Version version, size_t n_layer = 3, DeepEmbed deep_embed = {}) {
  Shape s;
  s.version = version;
  s.n_layer = n_layer;
  s.d_model = 40;
  s.d_ffn = 65;
  s.head_size = 20;
  s.deep_embed = deep_embed;
  return make_model(s);
}

inline Texts some_texts() {
  Texts texts;
  for (size_t n : {5, 1, 33, 16, 2, 21, 1, 9})
    texts.push_back(random_ids(n, 37, 70 + texts.size()));
  return texts;
}

inline Texts reversed_tokens(Texts texts) {
  for (auto& t : texts) std::reverse(t.begin(), t.end());
  return texts;
}

inline EncodeOptions all_layers(size_t n_layer) {
  EncodeOptions options;
  options.layers = parse_layers("all", n_layer);
  return options;
}

struct Encoded {
  std::vector<float> values;  // (n_layer_chosen, n_text, dim)
  EncodeStats stats;
};

inline Encoded encode(const Model& model, const EncodeOptions& options, const Texts& texts,
                      size_t n_thread = 1) {
  const Encoder encoder(model, options);
  Workspace work(n_thread);
  Encoded e;
  e.values.resize(options.layers.size() * texts.size() * encoder.dim());
  e.stats = encoder.encode(texts, e.values, work);
  return e;
}

// Row of chosen layer `i` and text `t`.
inline std::span<const float> row(const Encoded& e, size_t i, size_t t, size_t n_text,
                                  size_t dim = 40) {
  return std::span(e.values).subspan((i * n_text + t) * dim, dim);
}

// Rows [first, T) of a (T, C) matrix pooled by definition.
inline std::vector<double> naive(Pooling pooling, std::span<const float> x, size_t c,
                                 size_t first = 0) {
  std::vector<double> out(c, pooling == Pooling::kMax ? -1e300 : 0);
  double total = 0;
  for (size_t t = first; t < x.size() / c; ++t) {
    const double weight = pooling == Pooling::kWeighted ? static_cast<double>(t - first + 1) : 1;
    total += weight;
    for (size_t i = 0; i < c; ++i) {
      const double v = x[t * c + i];
      if (pooling == Pooling::kMax) out[i] = std::max(out[i], v);
      if (pooling == Pooling::kLast) out[i] = v;
      if (pooling == Pooling::kMean || pooling == Pooling::kWeighted) out[i] += weight * v;
    }
  }
  if (pooling == Pooling::kMean || pooling == Pooling::kWeighted)
    for (double& v : out) v /= total;
  return out;
}

}  // namespace fathom::test
