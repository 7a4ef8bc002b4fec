// SPDX-License-Identifier: Apache-2.0
// What the time mixes of several versions share: the shift by one token, and the way out.
#include <utility>

#include "model/block.h"

namespace fathom {

void shift_tokens(const SublayerContext& at, Matrix<const float> h, std::span<const Mix> mixes) {
  std::vector<const float*> previous;
  at.backend.token_shift(
      at.work.pool(),
      {h, at.rows.offsets, previous_rows(at.rows, false, at.layer, previous), mixes});
}

void add_output(const SublayerContext& at, const Operand& gated, const Linear& output,
                Matrix<float> x) {
  at.backend.matmul(at.work.pool(), gated, *output.packed, {.y = x, .accumulate = true});
}

void add_normed_output(const SublayerContext& at, GroupNormArgs norm, const LayerNorm& ln_x,
                       const Linear& output, Matrix<float> x) {
  norm.head_size = at.config.head_size;
  norm.weight = ln_x.weight.span();
  norm.bias = ln_x.bias.span();
  norm.eps = at.config.ln_x_eps;
  norm.out = at.operand(Workspace::kGated, output);
  at.backend.group_norm(at.work.pool(), norm);
  add_output(at, norm.out, output, x);
}

void add_wkv6_output(const SublayerContext& at, const Wkv6Inputs& in, const LayerNorm& ln_x,
                     const Linear& output, Matrix<float> x) {
  const auto y = at.matrix(Workspace::kY, at.config.d_att);
  std::vector<float*> states;
  at.backend.wkv6(at.work.pool(), {.r = in.r,
                                   .k = in.k,
                                   .v = in.v,
                                   .w = in.w,
                                   .u = in.bonus,
                                   .head_size = at.config.head_size,
                                   .offsets = at.rows.offsets,
                                   .state = wkv_states(at.rows, at.layer, states),
                                   .y = y});
  add_normed_output(at, {.y = y, .gate = in.gate, .gate_activation = Activation::kSilu}, ln_x,
                    output, x);
}

}  // namespace fathom
