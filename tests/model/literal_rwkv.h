// SPDX-License-Identifier: Apache-2.0
// LiteralRwkv: every version of RWKV straight from docs/rwkv.md, one token at a time, in
// double, sharing no code with src/. The ground truth for src/model.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/synthetic_model.h"

namespace fathom::test {

class LiteralRwkv {
 public:
  using Row = std::vector<double>;

  // What one block carries from token to token.
  struct Carried {
    Row att_x, ffn_x;  // (C) ln1's and ln2's last output
    Row aa, bb, pp;    // (A) v4
    Row wkv;           // v5, v6: (H, N key, N value); v7: (H, N value, N key)
  };

  std::vector<Row> hidden;       // (L + 1) each (T, C)
  Row final, logits;             // (T, C), (T, V)
  std::vector<Carried> carried;  // (L)

  // noise: every matrix product is off by up to this factor, to learn how exact f32 can be.
  explicit LiteralRwkv(const SyntheticModel& model, double ln_x_eps = 64e-5, double noise = 0)
      : hidden(model.shape.n_layer + 1),
        m_(model),
        s_(model.shape),
        ln_x_eps_(ln_x_eps),
        noise_(noise),
        random_(model.shape.seed + 99) {
    const size_t c = s_.d_model, a = s_.att();
    for (size_t i = 0; i < s_.n_layer; ++i)
      carried.push_back({Row(c), Row(c), Row(a), Row(a), Row(a, -1e30), Row(a * s_.head_size)});
  }

  void feed(const std::vector<uint32_t>& ids) {
    for (uint32_t id : ids) step(id);
  }

 private:
  void step(uint32_t id) {
    const float* e = m_.get("emb.weight").values.data() + id * s_.d_model;
    Row x = layer_norm(Row(e, e + s_.d_model), "blocks.0.ln0");
    id_ = id;
    embedded_ = x;
    append(hidden[0], x);
    Row v_first;
    for (size_t i = 0; i < s_.n_layer; ++i) {
      block_ = i;
      const Row h1 = layer_norm(x, concat("blocks.", i, ".ln1"));
      add(x, s_.version == Version::kV4   ? time_mix_4(h1)
             : s_.version == Version::kV6 ? time_mix_6(h1)
             : s_.version == Version::kV7 ? time_mix_7(h1, v_first)
                                          : time_mix_5(h1));
      carried[i].att_x = h1;
      const Row h2 = layer_norm(x, concat("blocks.", i, ".ln2"));
      add(x, channel_mix(h2));
      carried[i].ffn_x = h2;
      append(hidden[i + 1], x);
    }
    const Row y = layer_norm(x, "ln_out");
    append(final, y);
    if (m_.find("head.weight")) append(logits, times(m_.get("head.weight"), y));
  }

  // --- small parts

  static double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
  static double silu(double z) { return z * sigmoid(z); }
  static void append(Row& all, const Row& row) { all.insert(all.end(), row.begin(), row.end()); }
  static void add(Row& x, const Row& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }
  static Row map(Row x, double (*f)(double)) {
    for (double& v : x) v = f(v);
    return x;
  }

  const Array& w(const std::string& name) const { return m_.get(block_, name); }
  Row vec(const std::string& name) const {
    return Row(w(name).values.begin(), w(name).values.end());
  }
  double wobble(double v) {
    if (noise_ == 0) return v;
    return v * (1 + noise_ * (2 * static_cast<double>(random_.next() >> 11) * 0x1p-53 - 1));
  }

  // x Wᵀ, W (out, in)
  Row times(const Array& weight, const Row& x) {
    Row y(weight.shape[0]);
    for (size_t o = 0; o < y.size(); ++o) {
      double sum = 0;
      for (size_t i = 0; i < x.size(); ++i) sum += x[i] * double{weight.values[o * x.size() + i]};
      y[o] = wobble(sum);
    }
    return y;
  }
  Row linear(const std::string& name, const Row& x) { return times(w(name + ".weight"), x); }
  // x M, M (in, out) at `group` of a stack of such
  Row lora(const std::string& name, const Row& x, size_t group = 0) {
    const Array& m = w(name);
    const size_t n_out = m.shape.back();
    Row y(n_out);
    for (size_t i = 0; i < x.size(); ++i)
      for (size_t o = 0; o < n_out; ++o)
        y[o] += x[i] * double{m.values[(group * x.size() + i) * n_out + o]};
    for (double& v : y) v = wobble(v);
    return y;
  }
  static void normalise(double* x, size_t n, double eps) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; ++i) mean += x[i] / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i)
      variance += (x[i] - mean) * (x[i] - mean) / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) x[i] = (x[i] - mean) / std::sqrt(variance + eps);
  }
  Row scale_and_bias(Row x, const std::string& norm) const {
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = x[i] * double{m_.get(norm + ".weight").values[i]} + m_.get(norm + ".bias").values[i];
    return x;
  }
  Row layer_norm(Row x, const std::string& norm) const {
    normalise(x.data(), x.size(), 1e-5);
    return scale_and_bias(std::move(x), norm);
  }
  Row group_norm(Row y) const {
    for (size_t h = 0; h < s_.n_head(); ++h)
      normalise(&y[h * s_.head_size], s_.head_size, ln_x_eps_);
    return scale_and_bias(std::move(y), concat("blocks.", block_, ".att.ln_x"));
  }
  // v4, v5: mu weights the current token.
  Row lerp_current(const Row& h, const Row& before, const std::string& name) const {
    const Row mu = vec(name);
    Row x(h.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = h[i] * mu[i] + before[i] * (1 - mu[i]);
    return x;
  }
  // v6, v7: mu (and what is added to it) weights the previous token.
  Row lerp_previous(const Row& h, const Row& before, const std::string& name,
                    const Row& more = {}) const {
    const Row mu = vec(name);
    Row x(h.size());
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = h[i] + (before[i] - h[i]) * (mu[i] + (more.empty() ? 0 : more[i]));
    return x;
  }

  // --- RWKV-4

  Row time_mix_4(const Row& h) {
    Carried& st = carried[block_];
    const Row k = linear("att.key", lerp_current(h, st.att_x, "att.time_mix_k"));
    const Row v = linear("att.value", lerp_current(h, st.att_x, "att.time_mix_v"));
    const Row r =
        map(linear("att.receptance", lerp_current(h, st.att_x, "att.time_mix_r")), sigmoid);
    const Row decay = vec("att.time_decay"), u = vec("att.time_first");
    Row y(k.size());
    for (size_t c = 0; c < y.size(); ++c) {
      const double weight = -std::exp(decay[c]);
      double q = std::max(st.pp[c], u[c] + k[c]);
      double e1 = std::exp(st.pp[c] - q), e2 = std::exp(u[c] + k[c] - q);
      y[c] = r[c] * (e1 * st.aa[c] + e2 * v[c]) / (e1 * st.bb[c] + e2);
      q = std::max(st.pp[c] + weight, k[c]);
      e1 = std::exp(st.pp[c] + weight - q);
      e2 = std::exp(k[c] - q);
      st.aa[c] = e1 * st.aa[c] + e2 * v[c];
      st.bb[c] = e1 * st.bb[c] + e2;
      st.pp[c] = q;
    }
    return linear("att.output", y);
  }

  // --- RWKV-5

  // One token of v5's and v6's recurrence; weight and u: (A).
  Row wkv_step(const Row& r, const Row& k, const Row& v, const Row& weight, const Row& u) {
    const size_t n = s_.head_size;
    Row& state = carried[block_].wkv;
    Row y(r.size());
    for (size_t h = 0; h < s_.n_head(); ++h)
      for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) {
          const double kv = k[h * n + i] * v[h * n + j];
          double& s = state[(h * n + i) * n + j];
          y[h * n + j] += r[h * n + i] * (u[h * n + i] * kv + s);
          s = kv + weight[h * n + i] * s;
        }
    return y;
  }

  Row time_mix_5(const Row& h) {
    const Row before = carried[block_].att_x;
    const Row k = linear("att.key", lerp_current(h, before, "att.time_mix_k"));
    const Row v = linear("att.value", lerp_current(h, before, "att.time_mix_v"));
    const Row r = linear("att.receptance", lerp_current(h, before, "att.time_mix_r"));
    const bool has_log = m_.find(concat("blocks.", block_, ".att.time_first")) != nullptr;
    const Row decay = vec("att.time_decay");
    const Row bonus = vec(has_log ? "att.time_first" : "att.time_faaaa");
    Row weight(k.size()), u(k.size());
    for (size_t c = 0; c < k.size(); ++c) {
      const size_t at = decay.size() == k.size() ? c : c / s_.head_size;
      weight[c] = std::exp(-std::exp(decay[at]));
      u[c] = has_log ? std::exp(bonus[at]) : bonus[at];
    }
    Row y = group_norm(wkv_step(r, k, v, weight, u));
    if (s_.version != Version::kV5_0) {
      const Row g = map(linear("att.gate", lerp_current(h, before, "att.time_mix_g")), silu);
      for (size_t c = 0; c < y.size(); ++c) y[c] *= g[c];
    }
    return linear("att.output", y);
  }

  // --- RWKV-6

  Row time_mix_6(const Row& h) {
    const Row before = carried[block_].att_x;
    const Row z =
        map(lora("att.time_maa_w1", lerp_previous(h, before, "att.time_maa_x")), std::tanh);
    const size_t rank = s_.rank.mix;
    Row mixed[5];
    const char* names[] = {"w", "k", "v", "r", "g"};
    for (size_t f = 0; f < 5; ++f) {
      const Row zf(z.begin() + static_cast<std::ptrdiff_t>(f * rank),
                   z.begin() + static_cast<std::ptrdiff_t>((f + 1) * rank));
      mixed[f] = lerp_previous(h, before, std::string("att.time_maa_") + names[f],
                               lora("att.time_maa_w2", zf, f));
    }
    Row weight = lora("att.time_decay_w2", map(lora("att.time_decay_w1", mixed[0]), std::tanh));
    add(weight, vec("att.time_decay"));
    for (double& d : weight) d = std::exp(-std::exp(d));
    const Row k = linear("att.key", mixed[1]), v = linear("att.value", mixed[2]);
    const Row r = linear("att.receptance", mixed[3]);
    const Row g = map(linear("att.gate", mixed[4]), silu);
    Row y = group_norm(wkv_step(r, k, v, weight, vec("att.time_faaaa")));
    for (size_t c = 0; c < y.size(); ++c) y[c] *= g[c];
    return linear("att.output", y);
  }

  // --- RWKV-7

  Row lora_7(const std::string& letter, const Row& x, double (*f)(double)) {
    Row y = lora("att." + letter + "2", map(lora("att." + letter + "1", x), f));
    if (letter != "g") add(y, vec("att." + letter + "0"));
    return y;
  }

  Row time_mix_7(const Row& h, Row& v_first) {
    const Row before = carried[block_].att_x;
    const auto same = [](double z) { return z; };
    const auto x = [&](const char* f) {
      return lerp_previous(h, before, std::string("att.x_") + f);
    };
    const size_t n = s_.head_size;
    const Row r = linear("att.receptance", x("r"));
    Row k = linear("att.key", x("k")), v = linear("att.value", x("v"));
    Row weight = map(lora_7("w", x("w"), std::tanh), sigmoid);
    for (double& z : weight) z = std::exp(-0.6065306597126334 * z);
    const Row a = map(lora_7("a", x("a"), same), sigmoid), g = lora_7("g", x("g"), sigmoid);
    const Row k_k = vec("att.k_k"), k_a = vec("att.k_a"), r_k = vec("att.r_k");
    Row removal(k.size());
    for (size_t head = 0; head < s_.n_head(); ++head) {
      double square = 0;
      for (size_t c = head * n; c < (head + 1) * n; ++c) square += std::pow(k[c] * k_k[c], 2);
      for (size_t c = head * n; c < (head + 1) * n; ++c)
        removal[c] = k[c] * k_k[c] / std::max(std::sqrt(square), 1e-12);
    }
    for (size_t c = 0; c < k.size(); ++c) k[c] *= 1 + (a[c] - 1) * k_a[c];
    if (block_ == 0) {
      v_first = v;
    } else {
      const Row share = map(lora_7("v", x("v"), same), sigmoid);
      for (size_t c = 0; c < v.size(); ++c) v[c] += (v_first[c] - v[c]) * share[c];
    }
    Row y = group_norm(wkv_step_7(r, weight, k, v, removal, a));
    for (size_t head = 0; head < s_.n_head(); ++head) {
      double bonus = 0;
      for (size_t c = head * n; c < (head + 1) * n; ++c) bonus += r[c] * k[c] * r_k[c];
      for (size_t c = head * n; c < (head + 1) * n; ++c) y[c] = (y[c] + bonus * v[c]) * g[c];
    }
    return linear("att.output", y);
  }

  Row wkv_step_7(const Row& r, const Row& weight, const Row& k, const Row& v, const Row& removal,
                 const Row& a) {
    const size_t n = s_.head_size;
    Row y(r.size());
    for (size_t head = 0; head < s_.n_head(); ++head)
      for (size_t i = head * n; i < (head + 1) * n; ++i) {  // value
        double* s = &carried[block_].wkv[i * n];
        const size_t at = head * n;
        double sa = 0;
        for (size_t j = 0; j < n; ++j) sa -= s[j] * removal[at + j];
        for (size_t j = 0; j < n; ++j) {  // key
          s[j] = s[j] * weight[at + j] + sa * removal[at + j] * a[at + j] + v[i] * k[at + j];
          y[i] += s[j] * r[at + j];
        }
      }
    return y;
  }

  Row channel_mix(const Row& h) {
    const Row before = carried[block_].ffn_x;
    const auto relu_squared = [](double z) { return z > 0 ? z * z : 0.0; };
    if (s_.version == Version::kV7) {
      Row k = map(linear("ffn.key", lerp_previous(h, before, "ffn.x_k")), relu_squared);
      if (s_.deep_embed) {
        const Row factor = deep_factor(h);
        for (size_t c = 0; c < k.size(); ++c) k[c] *= factor[c];
      }
      return linear("ffn.value", k);
    }
    const bool v6 = s_.version == Version::kV6;
    const Row xk =
        v6 ? lerp_previous(h, before, "ffn.time_maa_k") : lerp_current(h, before, "ffn.time_mix_k");
    const Row xr =
        v6 ? lerp_previous(h, before, "ffn.time_maa_r") : lerp_current(h, before, "ffn.time_mix_r");
    Row y = linear("ffn.value", map(linear("ffn.key", xk), relu_squared));
    const Row r = map(linear("ffn.receptance", xr), sigmoid);
    for (size_t c = 0; c < y.size(); ++c) y[c] *= r[c];
    return y;
  }

  // v7a: h is not shifted.
  Row deep_factor(const Row& h) {
    const size_t n_in = s_.deep_embed.n_in, n_out = s_.deep_embed.n_out;
    const float* row = w("ffn.s_emb.weight").values.data() + id_ * n_in * n_out;
    Row table(row, row + n_in * n_out);
    if (s_.deep_embed.from_embedding) add(table, linear("ffn.s_emb_x", embedded_));
    const Row u = lora("ffn.s1", h);
    Row mixed(n_out);
    for (size_t j = 0; j < n_out; ++j) {
      for (size_t i = 0; i < n_in; ++i) mixed[j] += u[i] * table[i * n_out + j];
      mixed[j] = wobble(mixed[j]);
    }
    Row factor = lora("ffn.s2", mixed);
    add(factor, vec("ffn.s0"));
    return factor;
  }

  const SyntheticModel& m_;
  const Shape s_;
  double ln_x_eps_, noise_;
  Random random_;
  size_t block_ = 0;
  uint32_t id_ = 0;  // of the token
  Row embedded_;     // ln0 of its row
};

}  // namespace fathom::test
