// SPDX-License-Identifier: Apache-2.0
// Time mix of RWKV-7 (Goose, arXiv 2503.14456, section 4).
#include <algorithm>

#include "model/block.h"

namespace fathom {
namespace {

// activation(x downᵀ) upᵀ + bias
void lora(const Lora& l, const HalfBlock& at, const Operand& x, Activation activation,
          Matrix<float> y) {
  const Operand z = at.operand(Workspace::kHidden, l.up);
  at.backend.matmul(at.work.pool(), x, *l.down.packed, {.next = z, .activation = activation});
  at.backend.matmul(at.work.pool(), z, *l.up.packed, {.y = y, .bias = l.bias.span()});
}

}  // namespace

//   r, k, v = x_r Wrᵀ, x_k Wkᵀ, x_v Wvᵀ;  x_f = h + (h[t-1] - h) mix_f
//   w = exp(-exp(-1/2) sigmoid(w0 + tanh(x_w w1) w2));  a = sigmoid(a0 + (x_a a1) a2)
//   g = sigmoid(x_g g1) g2;  v = v + (v_first - v) sigmoid(v0 + (x_v v1) v2) but in block 0
//   y = wkv7(r, w, k, v, kk, a);  x += ((group_norm(y) + (r k r_k) v) g) Woᵀ
void time_mix(const TimeMixV7& m, const HalfBlock& at, Matrix<const float> h, Matrix<float> x) {
  using W = Workspace;
  const Config& config = at.config;
  const size_t d_att = config.d_att;
  ThreadPool& pool = at.work.pool();
  const Vec* shares[] = {&m.mix_r, &m.mix_w, &m.mix_k, &m.mix_v, &m.mix_a, &m.mix_g};
  const Linear* const reader[] = {&m.receptance, &m.decay.down, &m.key,
                                  &m.value,      &m.iclr.down,  &m.gate.down};
  Mix mixes[7];
  Operand mixed[7];
  size_t n_mix = 6;
  for (size_t f = 0; f < 6; ++f) {
    mixed[f] = at.operand(W::Slot(W::kMixed0 + f), *reader[f]);
    mixes[f] = {shares[f]->data(), nullptr, mixed[f]};
  }
  if (at.layer > 0) {  // x_v feeds a LoRA as well, which may want it in another type
    mixed[6] = mixed[3];
    const Linear& down = m.value_residual.down;
    if (down.packed->compute != m.value.packed->compute) {
      mixed[6] = at.operand(W::kGated, down);
      mixes[n_mix++] = {m.mix_v.data(), nullptr, mixed[6]};
    }
  }
  std::vector<const float*> previous;
  at.backend.token_shift(pool,
                         {h, at.rows.offsets, previous_rows(at.rows, false, at.layer, previous),
                          std::span(mixes, n_mix)});
  const auto& [xr, xw, xk, xv, xa, xg, xv_lora] = mixed;

  const auto r = at.matrix(W::kR, d_att), k = at.matrix(W::kK, d_att), v = at.matrix(W::kV, d_att),
             w = at.matrix(W::kW, d_att), a = at.matrix(W::kA, d_att), g = at.matrix(W::kG, d_att),
             kk = at.matrix(W::kKK, d_att), y = at.matrix(W::kY, d_att), v_first = at.v_first();
  at.product(xr, m.receptance, r);
  at.product(xk, m.key, k);
  at.product(xv, m.value, at.layer == 0 ? v_first : v);
  lora(m.decay, at, xw, Activation::kTanh, w);
  lora(m.iclr, at, xa, Activation::kNone, a);
  lora(m.gate, at, xg, Activation::kSigmoid, g);
  Matrix<float> v_gate;
  if (at.layer > 0) {
    v_gate = at.matrix(W::kVGate, d_att);
    lora(m.value_residual, at, xv_lora, Activation::kNone, v_gate);
  }
  // Block 0 defines v_first and uses it as its own v, unchanged.
  const Matrix<float> value = at.layer == 0 ? v_first : v;
  at.backend.prepare7(pool, {.w = w,
                             .k = k,
                             .a = a,
                             .kk = kk,
                             .v = value,
                             .v_gate = v_gate,
                             .v_first = at.layer == 0 ? Matrix<const float>() : v_first,
                             .k_k = m.k_k.span(),
                             .k_a = m.k_a.span(),
                             .head_size = config.head_size});
  std::vector<float*> states;
  at.backend.wkv7(pool, {.r = r,
                         .w = w,
                         .k = k,
                         .v = value,
                         .kk = kk,
                         .b = a,
                         .head_size = config.head_size,
                         .offsets = at.rows.offsets,
                         .state = wkv_states(at.rows, at.layer, states),
                         .y = y});
  const Operand gated = at.operand(W::kGated, m.output);
  at.backend.group_norm(pool, {.y = y,
                               .head_size = config.head_size,
                               .weight = m.ln_x.weight.span(),
                               .bias = m.ln_x.bias.span(),
                               .eps = config.ln_x_eps,
                               .r = r,
                               .k = k,
                               .v = value,
                               .r_k = m.r_k.span(),
                               .gate = g,
                               .gate_activation = Activation::kNone,
                               .out = gated});
  at.backend.matmul(pool, gated, *m.output.packed, {.y = x, .accumulate = true});
}

// The part of block 0's time mix that makes v_first: x_v Wvᵀ.
void make_v_first(const TimeMixV7& m, const HalfBlock& at, Matrix<const float> h) {
  const Operand xv = at.operand(Workspace::kMixed0, m.value);
  const Mix mix{m.mix_v.data(), nullptr, xv};
  std::vector<const float*> previous;
  at.backend.token_shift(
      at.work.pool(),
      {h, at.rows.offsets, previous_rows(at.rows, false, at.layer, previous), std::span(&mix, 1)});
  at.product(xv, m.value, at.v_first());
}

}  // namespace fathom
