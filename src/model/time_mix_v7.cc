// SPDX-License-Identifier: Apache-2.0
// Time mix of RWKV-7 (Goose, arXiv 2503.14456, section 4).
#include "model/block.h"

namespace fathom {
namespace {

// activation(x downᵀ) upᵀ + bias
void lora(const Lora& l, const SublayerContext& at, const Operand& x, Activation activation,
          Matrix<float> y) {
  const Operand z = at.operand(Workspace::kHidden, l.up);
  at.backend.matmul(at.work.pool(), x, *l.down.packed, {.next = z, .activation = activation});
  at.backend.matmul(at.work.pool(), z, *l.up.packed, {.y = y, .bias = l.bias.span()});
}

struct Mixed {
  Operand r, w, k, v, a, g;
  Operand v_lora;  // x_v for the LoRA of v, which may want it in another type; not in block 0
};

//   x_f = h + (h[t-1] - h) mix_f
Mixed mix_inputs(const TimeMixV7& m, const SublayerContext& at, Matrix<const float> h) {
  using W = Workspace;
  const auto slot = [](size_t f) { return W::Slot(W::kMixed0 + f); };
  Mixed x{.r = at.operand(slot(0), m.receptance),
          .w = at.operand(slot(1), m.decay.down),
          .k = at.operand(slot(2), m.key),
          .v = at.operand(slot(3), m.value),
          .a = at.operand(slot(4), m.iclr.down),
          .g = at.operand(slot(5), m.gate.down),
          .v_lora = {}};
  std::vector<Mix> mixes = {{m.mix_r.data(), nullptr, x.r}, {m.mix_w.data(), nullptr, x.w},
                            {m.mix_k.data(), nullptr, x.k}, {m.mix_v.data(), nullptr, x.v},
                            {m.mix_a.data(), nullptr, x.a}, {m.mix_g.data(), nullptr, x.g}};
  if (at.layer > 0) {
    x.v_lora = x.v;
    const Linear& down = m.value_residual.down;
    if (down.packed->compute != m.value.packed->compute) {
      x.v_lora = at.operand(W::kGated, down);
      mixes.push_back({m.mix_v.data(), nullptr, x.v_lora});
    }
  }
  shift_tokens(at, h, mixes);
  return x;
}

// What the recurrence takes, (T, A) each.
struct WkvInputs {
  Matrix<float> r, w, k, v, kk, a;
};

//   r, k, v = x_r Wrᵀ, x_k Wkᵀ, x_v Wvᵀ
//   w = exp(-exp(-1/2) sigmoid(w0 + tanh(x_w w1) w2));  a = sigmoid(a0 + (x_a a1) a2)
//   v = v + (v_first - v) sigmoid(v0 + (x_v v1) v2) but in block 0
WkvInputs wkv_inputs(const TimeMixV7& m, const SublayerContext& at, const Mixed& x) {
  using W = Workspace;
  const size_t d_att = at.config.d_att;
  const bool first = at.layer == 0;
  const Matrix<float> v_first = at.v_first();
  // Block 0 defines v_first and uses it as its own v, unchanged.
  const WkvInputs in{.r = at.matrix(W::kR, d_att),
                     .w = at.matrix(W::kW, d_att),
                     .k = at.matrix(W::kK, d_att),
                     .v = first ? v_first : at.matrix(W::kV, d_att),
                     .kk = at.matrix(W::kKK, d_att),
                     .a = at.matrix(W::kA, d_att)};
  at.product(x.r, m.receptance, in.r);
  at.product(x.k, m.key, in.k);
  at.product(x.v, m.value, in.v);
  lora(m.decay, at, x.w, Activation::kTanh, in.w);
  lora(m.iclr, at, x.a, Activation::kNone, in.a);
  Matrix<float> v_gate;
  if (!first) {
    v_gate = at.matrix(W::kVGate, d_att);
    lora(m.value_residual, at, x.v_lora, Activation::kNone, v_gate);
  }
  at.backend.prepare7(at.work.pool(), {.w = in.w,
                                       .k = in.k,
                                       .a = in.a,
                                       .kk = in.kk,
                                       .v = in.v,
                                       .v_gate = v_gate,
                                       .v_first = first ? Matrix<const float>() : v_first,
                                       .k_k = m.k_k.span(),
                                       .k_a = m.k_a.span(),
                                       .head_size = at.config.head_size});
  return in;
}

}  // namespace

//   g = sigmoid(x_g g1) g2
//   y = wkv7(r, w, k, v, kk, a);  x += ((group_norm(y) + (r k r_k) v) g) Woᵀ
void time_mix(const TimeMixV7& m, const SublayerContext& at, Matrix<const float> h,
              Matrix<float> x) {
  const Mixed mixed = mix_inputs(m, at, h);
  const auto g = at.matrix(Workspace::kG, at.config.d_att),
             y = at.matrix(Workspace::kY, at.config.d_att);
  lora(m.gate, at, mixed.g, Activation::kSigmoid, g);
  const WkvInputs in = wkv_inputs(m, at, mixed);
  std::vector<float*> states;
  at.backend.wkv7(at.work.pool(), {.r = in.r,
                                   .w = in.w,
                                   .k = in.k,
                                   .v = in.v,
                                   .kk = in.kk,
                                   .b = in.a,
                                   .head_size = at.config.head_size,
                                   .offsets = at.rows.offsets,
                                   .state = wkv_states(at.rows, at.layer, states),
                                   .y = y});
  add_normed_output(at, {.y = y, .r = in.r, .k = in.k, .v = in.v, .r_k = m.r_k.span(), .gate = g},
                    m.ln_x, m.output, x);
}

// The part of block 0's time mix that makes v_first: x_v Wvᵀ.
void make_v_first(const TimeMixV7& m, const SublayerContext& at, Matrix<const float> h) {
  const Operand xv = at.operand(Workspace::kMixed0, m.value);
  const Mix mix{m.mix_v.data(), nullptr, xv};
  shift_tokens(at, h, {&mix, 1});
  at.product(xv, m.value, at.v_first());
}

}  // namespace fathom
