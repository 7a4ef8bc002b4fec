// SPDX-License-Identifier: Apache-2.0
// Weights of one RWKV model in the form of the operators: vectors as f32, matrices packed by the
// backend. Differences between versions are variants; common parts are written once.
//
// Legend: C d_model, A d_att, F d_ffn, H heads, N head_size, R a LoRA rank.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "kernels/backend.h"
#include "model/config.h"

namespace fathom {

// A vector, or a small table read element by element.
struct Vec {
  std::vector<float> values;

  std::span<const float> span() const { return values; }
  const float* data() const { return values.data(); }
};

// A matrix that only products read, y = x wᵀ.
struct Linear {
  std::unique_ptr<PackedWeight> packed;  // (n_out, n_in)
};

struct LayerNorm {
  Vec weight, bias;  // (C)
};

// activation(x downᵀ) upᵀ + bias: how v6 and v7 make data-dependent parameters.
struct Lora {
  Linear down;  // (R, C)
  Linear up;    // (A, R)
  Vec bias;     // (A); empty where the version has none
};

// All token-shift weights are shares of the PREVIOUS token: what v4 and v5 store as the current
// token's share is turned round on load.
struct TimeMixV4 {
  Vec mix_k, mix_v, mix_r;                // (C)
  Vec decay;                              // (A) -exp(time_decay): added to the log weight
  Vec bonus;                              // (A) time_first
  Linear key, value, receptance, output;  // (A, C), output (C, A)
};

struct TimeMixV5 {
  Vec mix_k, mix_v, mix_r, mix_g;         // (C); mix_g empty in 5.0
  Vec decay;                              // (A) exp(-exp(time_decay)), one a head spread over N
  Vec bonus;                              // (A)
  Linear key, value, receptance, output;  // (A, C), output (C, A)
  Linear gate;                            // (A, C); empty in 5.0
  LayerNorm ln_x;                         // (A)
};

struct TimeMixV6 {
  Vec mix_x;                                    // (C) for the input of the mix LoRA
  Vec mix[5];                                   // (C) w, k, v, r, g
  Linear mix_down;                              // (5R, C), groups in the order w, k, v, r, g
  Linear mix_up[5];                             // (C, R)
  Lora decay;                                   // bias is time_decay, raw
  Vec bonus;                                    // (A) time_faaaa
  Linear key, value, receptance, gate, output;  // (A, C), output (C, A)
  LayerNorm ln_x;                               // (A)
};

struct TimeMixV7 {
  Vec mix_r, mix_w, mix_k, mix_v, mix_a, mix_g;  // (C)
  Lora decay, iclr, value_residual, gate;        // w, a, v (absent in block 0), g (no bias)
  Vec k_k, k_a, r_k;                             // (A)
  Linear key, value, receptance, output;         // (A, C), output (C, A)
  LayerNorm ln_x;                                // (A)
};

// v7a: relu(x_k Wkᵀ)² is multiplied by ((h downᵀ as (1, I)) · (table[token] as (I, O))) upᵀ + bias.
// The table itself stays in the file: Model.
struct DeepEmbedWeights {
  Linear down;            // (I, C)
  Linear up;              // (F, O)
  Vec bias;               // (F)
  Linear from_embedding;  // (I O, C), what the table takes from ln0's row; empty if nothing
};

struct ChannelMix {
  Vec mix_k;                    // (C)
  Vec mix_r;                    // (C); empty in v7
  Linear key;                   // (F, C)
  Linear value;                 // (C, F)
  Linear receptance;            // (C, C); empty in v7
  DeepEmbedWeights deep_embed;  // v7a only
};

struct Block {
  LayerNorm ln1;
  std::variant<TimeMixV4, TimeMixV5, TimeMixV6, TimeMixV7> time_mix;
  LayerNorm ln2;
  ChannelMix channel_mix;
};

// With the time mix of its version, and nothing in it.
inline Block empty_block(Version version) {
  Block block;
  switch (version) {
    case Version::kV4:
      block.time_mix.emplace<TimeMixV4>();
      break;
    case Version::kV5_0:
    case Version::kV5_1:
    case Version::kV5_2:
      block.time_mix.emplace<TimeMixV5>();
      break;
    case Version::kV6:
      block.time_mix.emplace<TimeMixV6>();
      break;
    case Version::kV7:
      block.time_mix.emplace<TimeMixV7>();
      break;
  }
  return block;
}

// for_each_weight(part, config, block, visit) calls
//   visit(canonical name, Vec&, size)            for vectors, and
//   visit(canonical name, Linear&, n_out, n_in)  for matrices
// for every weight of the part. Loading, counting and the cost model all walk these lists.
template <class Visit>
void for_each_weight(TimeMixV4& m, const Config& c, size_t, Visit&& visit) {
  visit("att.time_mix_k", m.mix_k, c.d_model);
  visit("att.time_mix_v", m.mix_v, c.d_model);
  visit("att.time_mix_r", m.mix_r, c.d_model);
  visit("att.time_decay", m.decay, c.d_att);
  visit("att.time_first", m.bonus, c.d_att);
  visit("att.key.weight", m.key, c.d_att, c.d_model);
  visit("att.value.weight", m.value, c.d_att, c.d_model);
  visit("att.receptance.weight", m.receptance, c.d_att, c.d_model);
  visit("att.output.weight", m.output, c.d_model, c.d_att);
}

template <class Visit>
void for_each_weight(TimeMixV5& m, const Config& c, size_t, Visit&& visit) {
  const size_t n_value = c.version == Version::kV5_2 ? c.d_att : c.n_head();
  visit("att.time_mix_k", m.mix_k, c.d_model);
  visit("att.time_mix_v", m.mix_v, c.d_model);
  visit("att.time_mix_r", m.mix_r, c.d_model);
  if (c.has_gate) visit("att.time_mix_g", m.mix_g, c.d_model);
  visit("att.time_decay", m.decay, n_value);
  visit("att.time_faaaa", m.bonus, n_value);  // or att.time_first: see load
  visit("att.key.weight", m.key, c.d_att, c.d_model);
  visit("att.value.weight", m.value, c.d_att, c.d_model);
  visit("att.receptance.weight", m.receptance, c.d_att, c.d_model);
  if (c.has_gate) visit("att.gate.weight", m.gate, c.d_att, c.d_model);
  visit("att.output.weight", m.output, c.d_model, c.d_att);
  visit("att.ln_x.weight", m.ln_x.weight, c.d_att);
  visit("att.ln_x.bias", m.ln_x.bias, c.d_att);
}

template <class Visit>
void for_each_weight(TimeMixV6& m, const Config& c, size_t, Visit&& visit) {
  constexpr const char* kMix[5] = {"att.time_maa_w", "att.time_maa_k", "att.time_maa_v",
                                   "att.time_maa_r", "att.time_maa_g"};
  constexpr const char* kUp[5] = {"att.time_maa_w2.w", "att.time_maa_w2.k", "att.time_maa_w2.v",
                                  "att.time_maa_w2.r", "att.time_maa_w2.g"};
  visit("att.time_maa_x", m.mix_x, c.d_model);
  for (size_t f = 0; f < 5; ++f) visit(kMix[f], m.mix[f], c.d_model);
  visit("att.time_maa_w1", m.mix_down, 5 * c.rank.mix, c.d_model);
  for (size_t f = 0; f < 5; ++f) visit(kUp[f], m.mix_up[f], c.d_model, c.rank.mix);
  visit("att.time_decay", m.decay.bias, c.d_att);
  visit("att.time_decay_w1", m.decay.down, c.rank.decay, c.d_model);
  visit("att.time_decay_w2", m.decay.up, c.d_att, c.rank.decay);
  visit("att.time_faaaa", m.bonus, c.d_att);
  visit("att.receptance.weight", m.receptance, c.d_att, c.d_model);
  visit("att.key.weight", m.key, c.d_att, c.d_model);
  visit("att.value.weight", m.value, c.d_att, c.d_model);
  visit("att.gate.weight", m.gate, c.d_att, c.d_model);
  visit("att.output.weight", m.output, c.d_model, c.d_att);
  visit("att.ln_x.weight", m.ln_x.weight, c.d_att);
  visit("att.ln_x.bias", m.ln_x.bias, c.d_att);
}

template <class Visit>
void for_each_weight(TimeMixV7& m, const Config& c, size_t block, Visit&& visit) {
  visit("att.x_r", m.mix_r, c.d_model);
  visit("att.x_w", m.mix_w, c.d_model);
  visit("att.x_k", m.mix_k, c.d_model);
  visit("att.x_v", m.mix_v, c.d_model);
  visit("att.x_a", m.mix_a, c.d_model);
  visit("att.x_g", m.mix_g, c.d_model);
  visit("att.w0", m.decay.bias, c.d_att);
  visit("att.w1", m.decay.down, c.rank.decay, c.d_model);
  visit("att.w2", m.decay.up, c.d_att, c.rank.decay);
  visit("att.a0", m.iclr.bias, c.d_att);
  visit("att.a1", m.iclr.down, c.rank.iclr, c.d_model);
  visit("att.a2", m.iclr.up, c.d_att, c.rank.iclr);
  if (block > 0) {  // block 0 defines v_first; what its file holds under these names is unused
    visit("att.v0", m.value_residual.bias, c.d_att);
    visit("att.v1", m.value_residual.down, c.rank.value, c.d_model);
    visit("att.v2", m.value_residual.up, c.d_att, c.rank.value);
  }
  visit("att.g1", m.gate.down, c.rank.gate, c.d_model);
  visit("att.g2", m.gate.up, c.d_att, c.rank.gate);
  visit("att.k_k", m.k_k, c.d_att);
  visit("att.k_a", m.k_a, c.d_att);
  visit("att.r_k", m.r_k, c.d_att);
  visit("att.receptance.weight", m.receptance, c.d_att, c.d_model);
  visit("att.key.weight", m.key, c.d_att, c.d_model);
  visit("att.value.weight", m.value, c.d_att, c.d_model);
  visit("att.output.weight", m.output, c.d_model, c.d_att);
  visit("att.ln_x.weight", m.ln_x.weight, c.d_att);
  visit("att.ln_x.bias", m.ln_x.bias, c.d_att);
}

template <class Visit>
void for_each_weight(ChannelMix& m, const Config& c, size_t, Visit&& visit) {
  const bool v7 = c.version == Version::kV7, v6 = c.version == Version::kV6;
  visit(v7 ? "ffn.x_k" : v6 ? "ffn.time_maa_k" : "ffn.time_mix_k", m.mix_k, c.d_model);
  if (!v7) visit(v6 ? "ffn.time_maa_r" : "ffn.time_mix_r", m.mix_r, c.d_model);
  visit("ffn.key.weight", m.key, c.d_ffn, c.d_model);
  visit("ffn.value.weight", m.value, c.d_model, c.d_ffn);
  if (!v7) visit("ffn.receptance.weight", m.receptance, c.d_model, c.d_model);
  if (!c.deep_embed) return;
  const DeepEmbed& deep = c.deep_embed;
  visit("ffn.s1", m.deep_embed.down, deep.n_in, c.d_model);
  visit("ffn.s2", m.deep_embed.up, c.d_ffn, deep.n_out);
  visit("ffn.s0", m.deep_embed.bias, c.d_ffn);
  if (deep.from_embedding)
    visit("ffn.s_emb_x.weight", m.deep_embed.from_embedding, deep.row(), c.d_model);
}

template <class Visit>
void for_each_weight(Block& b, const Config& c, size_t block, Visit&& visit) {
  visit("ln1.weight", b.ln1.weight, c.d_model);
  visit("ln1.bias", b.ln1.bias, c.d_model);
  std::visit([&](auto& m) { for_each_weight(m, c, block, visit); }, b.time_mix);
  visit("ln2.weight", b.ln2.weight, c.d_model);
  visit("ln2.bias", b.ln2.bias, c.d_model);
  for_each_weight(b.channel_mix, c, block, visit);
}

}  // namespace fathom
