// SPDX-License-Identifier: Apache-2.0
// Channel mix of every version.
#include "model/block.h"

namespace fathom {

//   up to v6: x += sigmoid(x_r Wrᵀ) (relu(x_k Wkᵀ)² Wvᵀ)
//   v7:       x += relu(x_k Wkᵀ)² Wvᵀ
//   v7a:      x += (relu(x_k Wkᵀ)² ⊙ factor) Wvᵀ
void channel_mix(const ChannelMix& m, const SublayerContext& at, Matrix<const float> h,
                 Matrix<const float> factor, Matrix<float> x) {
  using W = Workspace;
  const size_t c = at.config.d_model;
  if (at.config.d_ffn == 0) return;  // sigmoid(r) times nothing
  const bool gated = m.receptance.packed != nullptr;
  ThreadPool& pool = at.work.pool();
  const Operand xk = at.operand(W::kMixed0, m.key);
  const Operand xr = gated ? at.operand(W::Slot(W::kMixed0 + 1), m.receptance) : Operand();
  const Mix mixes[] = {{m.mix_k.data(), nullptr, xk}, {m.mix_r.data(), nullptr, xr}};
  std::vector<const float*> previous;
  at.backend.token_shift(pool,
                         {h, at.rows.offsets, previous_rows(at.rows, true, at.layer, previous),
                          std::span(mixes, gated ? 2 : 1)});
  const Operand hidden = at.operand(W::kHidden, m.value);
  if (factor.rows() == 0) {
    at.backend.matmul(pool, xk, *m.key.packed,
                      {.next = hidden, .activation = Activation::kReluSquared});
  } else {  // rounded, where it is, after the factor: the scale of an int8 row depends on it
    const auto k = at.matrix(W::kK, at.config.d_ffn);
    at.product(xk, m.key, k);
    at.backend.gate(pool, k, Activation::kReluSquared, factor, hidden);
  }
  if (!gated) {
    at.backend.matmul(pool, hidden, *m.value.packed, {.y = x, .accumulate = true});
    return;
  }
  const auto kv = at.matrix(W::kK, c), r = at.matrix(W::kR, c);
  at.product(hidden, m.value, kv);
  at.product(xr, m.receptance, r);
  at.backend.gated_add(pool, r, kv, x);
}

}  // namespace fathom
