// SPDX-License-Identifier: Apache-2.0
#include "encode/state_pooling.h"

#include <algorithm>

#include "base/error.h"

namespace fathom {
namespace {

// Means of the rows (or columns) of `matrix`: (n, n).
void pool_matrix(std::span<const float> matrix, size_t n, bool rows, std::span<float> out) {
  for (size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (size_t j = 0; j < n; ++j) sum += matrix[rows ? i * n + j : j * n + i];
    out[i] = static_cast<float>(sum / static_cast<double>(n));
  }
}

}  // namespace

size_t pooled_dim(Pooling pooling, const Config& config) {
  if (!pools_state(pooling)) return config.d_model;
  const bool whole = pooling == Pooling::kState && config.has_heads();
  return whole ? config.wkv_state_size() : config.d_att;
}

void pool_state(Pooling pooling, const Config& config, std::span<const float> wkv,
                std::span<float> out) {
  FATHOM_ASSERT(wkv.size() == config.wkv_state_size() && out.size() == pooled_dim(pooling, config));
  if (!config.has_heads()) {  // bb >= 1 after the first token: its own weight is exp(0)
    for (size_t c = 0; c < out.size(); ++c) out[c] = wkv[c] / wkv[config.d_att + c];
    return;
  }
  if (pooling == Pooling::kState) {
    std::ranges::copy(wkv, out.begin());
    return;
  }
  const size_t n = config.head_size;
  for (size_t head = 0; head < config.n_head(); ++head)
    pool_matrix(wkv.subspan(head * n * n, n * n), n, pooling == Pooling::kStateRows,
                out.subspan(head * n, n));
}

std::string state_meaning(Pooling pooling, StateLayout layout) {
  if (layout == StateLayout::kAverage) return "aa / bb, one number a channel";
  const bool value_first = layout == StateLayout::kValueKey;
  std::string s = value_first ? "S[head][value][key]" : "S[head][key][value]";
  if (pooling == Pooling::kState) return s;
  const bool over_values = (pooling == Pooling::kStateRows) != value_first;
  return concat("mean over the ", over_values ? "values" : "keys", " of ", s, ", one number a ",
                over_values ? "key" : "value", " channel");
}

}  // namespace fathom
