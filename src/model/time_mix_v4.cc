// SPDX-License-Identifier: Apache-2.0
// Time mix of RWKV-4 (arXiv 2305.13048, equations 11 to 18).
#include "model/block.h"

namespace fathom {

//   r, k, v = lerp(h, h[t-1]) Wrᵀ, Wkᵀ, Wvᵀ
//   y = wkv4(k, v);  x += (sigmoid(r) y) Woᵀ
void time_mix(const TimeMixV4& m, const SublayerContext& at, Matrix<const float> h,
              Matrix<float> x) {
  using W = Workspace;
  const size_t a = at.config.d_att;
  const Operand xk = at.operand(W::kMixed0, m.key);
  const Operand xv = at.operand(W::Slot(W::kMixed0 + 1), m.value);
  const Operand xr = at.operand(W::Slot(W::kMixed0 + 2), m.receptance);
  const Mix mixes[] = {
      {m.mix_k.data(), nullptr, xk}, {m.mix_v.data(), nullptr, xv}, {m.mix_r.data(), nullptr, xr}};
  shift_tokens(at, h, mixes);
  const auto k = at.matrix(W::kK, a), v = at.matrix(W::kV, a), r = at.matrix(W::kR, a);
  at.product(xk, m.key, k);
  at.product(xv, m.value, v);
  at.product(xr, m.receptance, r);

  const auto y = at.matrix(W::kY, a);
  std::vector<float*> states;
  at.backend.wkv4(at.work.pool(), {k, v, m.decay.span(), m.bonus.span(), at.rows.offsets,
                                   wkv_states(at.rows, at.layer, states), y});
  const Operand gated = at.operand(W::kGated, m.output);
  at.backend.gate(at.work.pool(), r, Activation::kSigmoid, y, gated);
  add_output(at, gated, m.output, x);
}

}  // namespace fathom
