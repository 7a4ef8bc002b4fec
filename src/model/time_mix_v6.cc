// SPDX-License-Identifier: Apache-2.0
// Time mix of RWKV-6 (Finch, arXiv 2404.05892, section 4.2).
#include "model/block.h"

namespace fathom {

//   s = h[t-1] - h;  z = tanh((h + s mix_x) M1)
//   x_f = h + s (mix_f + z_f M2_f)                        f = w, k, v, r, g
//   d = time_decay + tanh(x_w D1) D2;  w = exp(-exp(d))
//   r, k, v, g = x_r Wrᵀ, x_k Wkᵀ, x_v Wvᵀ, x_g Wgᵀ
//   y = wkv6(r, k, v, w; u);  x += (group_norm(y) silu(g)) Woᵀ
void time_mix(const TimeMixV6& m, const SublayerContext& at, Matrix<const float> h,
              Matrix<float> x) {
  using W = Workspace;
  const Config& config = at.config;
  const size_t c = config.d_model, a = config.d_att, rank = config.rank.mix;
  ThreadPool& pool = at.work.pool();

  const Operand xx = at.operand(W::kMixed0, m.mix_down);
  const Mix first[] = {{m.mix_x.data(), nullptr, xx}};
  shift_tokens(at, h, first);
  const Operand z = at.operand(W::kHidden, m.mix_up[0], 5 * rank);
  at.backend.matmul(pool, xx, *m.mix_down.packed, {.next = z, .activation = Activation::kTanh});

  const Linear* const reader[] = {&m.decay.down, &m.key, &m.value, &m.receptance, &m.gate};
  Mix mixes[5];
  Operand mixed[5];
  for (size_t f = 0; f < 5; ++f) {
    const auto dynamic = at.matrix(W::Slot(W::kDynamic0 + f), c);
    at.product(columns(z, f * rank, (f + 1) * rank), m.mix_up[f], dynamic);
    mixed[f] = at.operand(W::Slot(W::kMixed0 + 1 + f), *reader[f]);
    mixes[f] = {m.mix[f].data(), dynamic.data(), mixed[f]};
  }
  shift_tokens(at, h, mixes);
  const auto& [xw, xk, xv, xr, xg] = mixed;

  const auto k = at.matrix(W::kK, a), v = at.matrix(W::kV, a), r = at.matrix(W::kR, a),
             g = at.matrix(W::kG, a), w = at.matrix(W::kW, a);
  const Operand zw = at.operand(W::kHidden2, m.decay.up);
  at.backend.matmul(pool, xw, *m.decay.down.packed, {.next = zw, .activation = Activation::kTanh});
  at.backend.matmul(pool, zw, *m.decay.up.packed, {.y = w, .bias = m.decay.bias.span()});
  at.backend.decay6(pool, w);
  at.product(xk, m.key, k);
  at.product(xv, m.value, v);
  at.product(xr, m.receptance, r);
  at.product(xg, m.gate, g);
  add_wkv6_output(at, {r, k, v, w, g, m.bonus.span()}, m.ln_x, m.output, x);
}

}  // namespace fathom
