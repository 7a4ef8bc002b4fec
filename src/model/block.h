// SPDX-License-Identifier: Apache-2.0
// The sublayers of a block, one function for each variant. Private to model/.
#pragma once

#include "model/config.h"
#include "model/model.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace fathom {

// What every sublayer works on.
struct SublayerContext {
  const Backend& backend;
  const Config& config;
  Workspace& work;
  size_t layer;
  const Rows& rows;
  // Rows at which a sequence begins with nothing before it: products in bf16 keep the rounding
  // error of their left-hand operands. There the head's output is c v with one number c, which
  // group norm blows up to size 1 however small it is: where c nearly cancels, 8 bits would decide
  // its sign.
  std::span<const uint32_t> compensated;

  size_t n_token() const { return rows.n_token(); }
  // The left-hand operand of products with w, which decides its type.
  Operand operand(Workspace::Slot slot, const Linear& w) const {
    return operand(slot, w, w.packed->n_in);
  }
  // The same in one buffer for several matrices of w's type: cols columns in all.
  Operand operand(Workspace::Slot slot, const Linear& w, size_t cols) const {
    const Compute type = w.packed->compute;
    return work.operand(slot, n_token(), cols, backend.operand_type(type),
                        type == Compute::kBF16 ? compensated : std::span<const uint32_t>());
  }
  Matrix<float> matrix(Workspace::Slot slot, size_t cols) const {
    return work.matrix(slot, n_token(), cols);
  }
  // v7: written by block 0, read by the others.
  Matrix<float> v_first() const {
    return rows.v_first.data() ? rows.v_first : matrix(Workspace::kVFirst, config.d_att);
  }
  void product(const Operand& x, const Linear& w, Matrix<float> y) const {
    backend.matmul(work.pool(), x, *w.packed, {.y = y});
  }
};

// Every mix of h and the rows one token before, as time mix has them. h: (T, C).
void shift_tokens(const SublayerContext& at, Matrix<const float> h, std::span<const Mix> mixes);

// The end of every time mix, x += gated Woᵀ. x: (T, C).
void add_output(const SublayerContext& at, const Operand& gated, const Linear& output,
                Matrix<float> x);
// From v5 on: x += ((group_norm(y) + bonus) gate) Woᵀ. Of `norm` the caller sets y, gate and bonus.
void add_normed_output(const SublayerContext& at, GroupNormArgs norm, const LayerNorm& ln_x,
                       const Linear& output, Matrix<float> x);
// v5 and v6: y = wkv6(r, k, v, w; bonus), then as above with silu of the gate.
struct Wkv6Inputs {
  Matrix<const float> r, k, v, w;  // (T, A); w of v5 (1, A)
  Matrix<const float> gate;        // (T, A); no rows: none
  std::span<const float> bonus;    // (A)
};
void add_wkv6_output(const SublayerContext& at, const Wkv6Inputs& in, const LayerNorm& ln_x,
                     const Linear& output, Matrix<float> x);

// x += time_mix(ln1(x)). h: (T, C) is ln1(x); x: (T, C) the residual stream.
void time_mix(const TimeMixV4& m, const SublayerContext& at, Matrix<const float> h,
              Matrix<float> x);
void time_mix(const TimeMixV5& m, const SublayerContext& at, Matrix<const float> h,
              Matrix<float> x);
void time_mix(const TimeMixV6& m, const SublayerContext& at, Matrix<const float> h,
              Matrix<float> x);
void time_mix(const TimeMixV7& m, const SublayerContext& at, Matrix<const float> h,
              Matrix<float> x);
void make_v_first(const TimeMixV7& m, const SublayerContext& at, Matrix<const float> h);
// x += channel_mix(ln2(x)), all versions. factor: (T, F) of deep_embed(), or no rows.
void channel_mix(const ChannelMix& m, const SublayerContext& at, Matrix<const float> h,
                 Matrix<const float> factor, Matrix<float> x);
// What v7a multiplies the hidden row of channel mix by, (T, F). table: (n_vocab, I O); h: (T, C) is
// ln2(x); embedded: (T, C) ln0's rows with room for padded rows, or no rows without s_emb_x. Lies
// in the workspace at kA.
Matrix<const float> deep_embed(const DeepEmbedWeights& m, const SublayerContext& at,
                               const SourceWeight& table, Matrix<const float> h,
                               Matrix<const float> embedded);

// The carried rows in front of each sequence, as token_shift wants them; `out` is scratch.
std::span<const float* const> previous_rows(const Rows& rows, bool channel_mix, size_t layer,
                                            std::vector<const float*>& out);
// SublayerContext::compensated: the first row of every sequence that has no row before it, or a row
// of zeros.
std::vector<uint32_t> first_rows(const Rows& rows, bool channel_mix, size_t layer);
// WKV states of the sequences; `out` is scratch.
std::span<float* const> wkv_states(const Rows& rows, size_t layer, std::vector<float*>& out);

}  // namespace fathom
