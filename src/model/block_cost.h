// SPDX-License-Identifier: Apache-2.0
// The cost of a sublayer: multiply-adds, counted from the dimensions.
//
// The count covers the matrix products, the LoRA products and the WKV recurrence of each block. It
// neglects norms, mixes, activations and the embedding row. It leaves out the head, which never
// runs for embeddings. One multiply-add is 2 FLOPs. v4's recurrence is a few operations for each
// channel and is neglected. The formulas are the RWKV papers': docs/methods.md, "Cost".
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/config.h"

namespace fathom {

// The dimensions that cost depends on.
struct CostModel {
  int version;       // 4, 5, 6 or 7
  size_t n_layer;    // blocks
  size_t d_model;    // C
  size_t d_att;      // A, width of time mix: d_model in all released models
  size_t d_ffn;      // F, hidden width of channel mix
  size_t head_size;  // N; not used by v4

  bool has_gate = true;  // v5 only: false for v5.0

  size_t mix_rank = 0, decay_rank = 0;                    // v6 LoRA: token shift (each of 5), decay
  size_t w_rank = 0, a_rank = 0, v_rank = 0, g_rank = 0;  // v7 LoRA
  // v7a: a token's matrix in the table, (in, out), and whether a part of it is made of ln0's row.
  size_t deep_in = 0, deep_out = 0;
  bool deep_from_embedding = false;

  bool needs_v_first() const { return version == 7; }  // as Config's
};
CostModel cost_model(const Config& config);

// Multiply-adds per token of a sublayer.
struct SublayerCost {
  uint64_t product = 0;  // with the (d_model, d_att) and (d_model, d_ffn) matrices
  uint64_t lora = 0;     // v7a: DeepEmbed as well
  uint64_t wkv = 0;      // the recurrence
  uint64_t total() const { return product + lora + wkv; }
};
struct BlockCost {
  SublayerCost time_mix, channel_mix;
  uint64_t total() const { return time_mix.total() + channel_mix.total(); }
};

// Block `layer` (0-based): v7's block 0 makes v_first and has no v LoRA; else all are alike.
BlockCost block_cost(const CostModel& model, size_t layer);

// Multiply-adds per token of v_first alone, where the time mix of block 0 is left out.
uint64_t v_first_cost(const CostModel& model);

}  // namespace fathom
