// SPDX-License-Identifier: Apache-2.0
#include "model/block_cost.h"

#include "base/error.h"

namespace fathom {
namespace {

// Multiply-adds per token of the WKV recurrence, for each of the d_att * head_size state entries.
// v5, v6: k v, r (u k v + S), and S w + k v. v7 also multiplies S by the removal vector and adds
// its outer product.
constexpr uint64_t kWkvPerStateEntryV5 = 3;
constexpr uint64_t kWkvPerStateEntryV7 = 5;

SublayerCost time_mix_cost(const CostModel& m, size_t layer) {
  const uint64_t c = m.d_model, a = m.d_att, n = m.head_size;
  switch (m.version) {
    case 4:
      return {.product = 4 * c * a};
    case 5:
      return {.product = (m.has_gate ? 5 : 4) * c * a, .wkv = kWkvPerStateEntryV5 * a * n};
    case 6:
      return {.product = 5 * c * a,
              .lora = 10 * c * m.mix_rank + (c + a) * m.decay_rank,
              .wkv = kWkvPerStateEntryV5 * a * n};
    case 7: {
      const uint64_t rank = m.w_rank + m.a_rank + m.g_rank + (layer > 0 ? m.v_rank : 0);
      return {.product = 4 * c * a, .lora = (c + a) * rank, .wkv = kWkvPerStateEntryV7 * a * n};
    }
  }
  FATHOM_ASSERT(!"CostModel.version is 4, 5, 6 or 7");
}

SublayerCost channel_mix_cost(const CostModel& m) {
  const uint64_t c = m.d_model;
  const uint64_t receptance = m.version == 7 ? 0 : c * c;
  // v7a: s1, the token's matrix, s2; s_emb_x.
  const uint64_t token = m.deep_in * m.deep_out;
  const uint64_t deep =
      c * m.deep_in + token + m.deep_out * m.d_ffn + (m.deep_from_embedding ? c * token : 0);
  return {.product = 2 * c * m.d_ffn + receptance, .lora = deep};
}

}  // namespace

CostModel cost_model(const Config& c) {
  CostModel m{};
  m.version = c.version == Version::kV4   ? 4
              : c.version < Version::kV6  ? 5
              : c.version == Version::kV6 ? 6
                                          : 7;
  m.n_layer = c.n_layer;
  m.d_model = c.d_model;
  m.d_att = c.d_att;
  m.d_ffn = c.d_ffn;
  m.head_size = c.head_size;
  m.has_gate = c.has_gate;
  if (c.version == Version::kV6) {
    m.mix_rank = c.rank.mix;
    m.decay_rank = c.rank.decay;
  } else {
    m.w_rank = c.rank.decay;
    m.a_rank = c.rank.iclr;
    m.v_rank = c.rank.value;
    m.g_rank = c.rank.gate;
    m.deep_in = c.deep_embed.n_in;
    m.deep_out = c.deep_embed.n_out;
    m.deep_from_embedding = c.deep_embed.from_embedding;
  }
  return m;
}

BlockCost block_cost(const CostModel& model, size_t layer) {
  FATHOM_ASSERT(layer < model.n_layer);
  return {.time_mix = time_mix_cost(model, layer), .channel_mix = channel_mix_cost(model)};
}

uint64_t v_first_cost(const CostModel& model) { return model.d_model * model.d_att; }

}  // namespace fathom
