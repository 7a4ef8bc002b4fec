// SPDX-License-Identifier: Apache-2.0
// Time mix of RWKV-5 (Eagle, arXiv 2404.05892, section 4.1): 5.0 without gate, 5.1 with one decay
// a head, 5.2 with one a channel.
#include "model/block.h"

namespace fathom {

//   r, k, v, g = lerp(h, h[t-1]) Wᵀ
//   y = wkv(r, k, v; w, u);  x += (group_norm(y) silu(g)) Woᵀ
void time_mix(const TimeMixV5& m, const SublayerContext& at, Matrix<const float> h,
              Matrix<float> x) {
  using W = Workspace;
  const Config& config = at.config;
  const size_t a = config.d_att;
  const Operand xk = at.operand(W::kMixed0, m.key);
  const Operand xv = at.operand(W::Slot(W::kMixed0 + 1), m.value);
  const Operand xr = at.operand(W::Slot(W::kMixed0 + 2), m.receptance);
  const Operand xg = config.has_gate ? at.operand(W::Slot(W::kMixed0 + 3), m.gate) : Operand();
  const Mix mixes[] = {{m.mix_k.data(), nullptr, xk},
                       {m.mix_v.data(), nullptr, xv},
                       {m.mix_r.data(), nullptr, xr},
                       {m.mix_g.data(), nullptr, xg}};
  shift_tokens(at, h, std::span(mixes, config.has_gate ? 4 : 3));
  const auto k = at.matrix(W::kK, a), v = at.matrix(W::kV, a), r = at.matrix(W::kR, a);
  at.product(xk, m.key, k);
  at.product(xv, m.value, v);
  at.product(xr, m.receptance, r);
  Matrix<float> g;
  if (config.has_gate) {
    g = at.matrix(W::kG, a);
    at.product(xg, m.gate, g);
  }
  const Matrix<const float> w(m.decay.data(), 1, a);
  add_wkv6_output(at, {r, k, v, w, g, m.bonus.span()}, m.ln_x, m.output, x);
}

}  // namespace fathom
