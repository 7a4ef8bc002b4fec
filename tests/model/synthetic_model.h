// SPDX-License-Identifier: Apache-2.0
// Small random RWKV models of every version and any shape, as BlinkDL's files name and shape their
// weights (docs/layouts.md). How other programs store the same model: synthetic_layouts.h.
//
// Every weight is a bf16 number that f16 holds exactly as well, so that files of any float type
// hold the same model. Scales are such that hidden states stay near 1.
#pragma once

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "base/random.h"
#include "model/config.h"

namespace fathom::test {

struct Shape {
  Version version = Version::kV6;
  size_t n_vocab = 37, n_layer = 2, d_model = 24, d_ffn = 61;
  size_t head_size = 8;  // not in v4
  LoraRanks rank = {.mix = 3, .decay = 5, .iclr = 4, .value = 3, .gate = 6};
  size_t d_att = 0;           // 0: d_model
  DeepEmbed deep_embed = {};  // v7a
  bool log_bonus = false;  // v5: att.time_first, the bonus's logarithm, instead of att.time_faaaa
  uint64_t seed = 1;

  size_t att() const { return d_att ? d_att : d_model; }
  size_t n_head() const { return att() / head_size; }
};

inline std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "v" << name_of(s.version) << "_L" << s.n_layer << "_C" << s.d_model << "_A"
             << s.att() << "_F" << s.d_ffn << "_N" << s.head_size << (s.log_bonus ? "_log" : "")
             << (s.deep_embed ? s.deep_embed.from_embedding ? "_deep_x" : "_deep" : "");
}

// One weight, dense and row-major.
struct Array {
  std::string name;
  std::vector<size_t> shape;
  std::vector<float> values;
};

struct SyntheticModel {
  Shape shape;
  std::vector<Array> arrays;  // BlinkDL's names and shapes

  const Array* find(const std::string& name) const {
    const auto at =
        std::find_if(arrays.begin(), arrays.end(), [&](const Array& a) { return a.name == name; });
    return at == arrays.end() ? nullptr : &*at;
  }
  const Array& get(const std::string& name) const {
    const Array* a = find(name);
    if (!a) throw Error("synthetic model without " + name);
    return *a;
  }
  const Array& get(size_t block, const std::string& name) const {
    return get(concat("blocks.", block, ".", name));
  }
  void remove(const std::string& name) {
    std::erase_if(arrays, [&](const Array& a) { return a.name == name; });
  }
};

class SyntheticMaker {
 public:
  explicit SyntheticMaker(const Shape& shape) : random_(shape.seed), m_{shape, {}} {}

  SyntheticModel make() {
    const size_t c = m_.shape.d_model;
    add("emb.weight", {m_.shape.n_vocab, c}, -1.7, 1.7);
    norm("blocks.0.ln0", c);
    for (size_t i = 0; i < m_.shape.n_layer; ++i) {
      prefix_ = concat("blocks.", i, ".");
      norm("ln1", c);
      norm("ln2", c);
      switch (m_.shape.version) {
        case Version::kV4:
          time_mix_v4();
          break;
        case Version::kV5_0:
        case Version::kV5_1:
        case Version::kV5_2:
          time_mix_v5();
          break;
        case Version::kV6:
          time_mix_v6();
          break;
        case Version::kV7:
          time_mix_v7(i);
          break;
      }
      channel_mix();
    }
    prefix_.clear();
    norm("ln_out", c);
    matrix("head.weight", m_.shape.n_vocab, c, 1);
    return std::move(m_);
  }

 private:
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(random_.next() >> 11) * 0x1p-53;
  }
  void add(const std::string& name, std::vector<size_t> shape, double low, double high) {
    Array a{prefix_ + name, std::move(shape), {}};
    size_t n = 1;
    for (size_t d : a.shape) n *= d;
    for (size_t i = 0; i < n; ++i) {
      const float v = to_f32(to_bf16(static_cast<float>(uniform(low, high))));
      a.values.push_back(std::abs(v) < 0x1p-14f ? 0 : v);
    }
    m_.arrays.push_back(std::move(a));
  }
  // (rows, cols) whose products have about `gain` times the size of their right side.
  void matrix(const std::string& name, size_t rows, size_t cols, double gain) {
    const double bound = gain * std::sqrt(3.0 / static_cast<double>(cols));
    add(name, {rows, cols}, -bound, bound);
  }
  // (in, out), as BlinkDL stores LoRA matrices.
  void lora(const std::string& name, size_t in, size_t out, double gain) {
    const double bound = gain * std::sqrt(3.0 / static_cast<double>(in));
    add(name, {in, out}, -bound, bound);
  }
  void norm(const std::string& name, size_t n) {
    add(name + ".weight", {n}, 0.6, 1.4);
    add(name + ".bias", {n}, -0.3, 0.3);
  }
  void mixes(std::initializer_list<const char*> names) {
    for (const char* name : names) add(name, {1, 1, m_.shape.d_model}, 0, 1);
  }
  void projections(std::initializer_list<const char*> names) {
    for (const char* name : names)
      matrix(concat("att.", name, ".weight"), m_.shape.att(), m_.shape.d_model, 1);
    matrix("att.output.weight", m_.shape.d_model, m_.shape.att(), 0.8);
  }

  void time_mix_v4() {
    mixes({"att.time_mix_k", "att.time_mix_v", "att.time_mix_r"});
    add("att.time_decay", {m_.shape.att()}, -5, 1.5);
    add("att.time_first", {m_.shape.att()}, -1, 1);
    projections({"key", "value", "receptance"});
  }
  void time_mix_v5() {
    const Shape& s = m_.shape;
    const bool gated = s.version != Version::kV5_0;
    const std::vector<size_t> per = s.version == Version::kV5_2
                                        ? std::vector<size_t>{s.n_head(), s.head_size}
                                        : std::vector<size_t>{s.n_head()};
    mixes({"att.time_mix_k", "att.time_mix_v", "att.time_mix_r"});
    if (gated) mixes({"att.time_mix_g"});
    add("att.time_decay", per, -5, 0.5);
    add(s.log_bonus ? "att.time_first" : "att.time_faaaa", per, -1, 1);
    projections({"key", "value", "receptance"});
    if (gated) matrix("att.gate.weight", s.att(), s.d_model, 1);
    norm("att.ln_x", s.att());
  }
  void time_mix_v6() {
    const Shape& s = m_.shape;
    mixes({"att.time_maa_x", "att.time_maa_w", "att.time_maa_k", "att.time_maa_v", "att.time_maa_r",
           "att.time_maa_g"});
    lora("att.time_maa_w1", s.d_model, 5 * s.rank.mix, 1);
    const double bound = 0.4 * std::sqrt(3.0 / static_cast<double>(s.rank.mix));
    add("att.time_maa_w2", {5, s.rank.mix, s.d_model}, -bound, bound);
    add("att.time_decay", {1, 1, s.att()}, -6, 0.5);
    lora("att.time_decay_w1", s.d_model, s.rank.decay, 1);
    lora("att.time_decay_w2", s.rank.decay, s.att(), 0.7);
    add("att.time_faaaa", {s.n_head(), s.head_size}, -1, 1);
    projections({"receptance", "key", "value", "gate"});
    norm("att.ln_x", s.att());
  }
  void time_mix_v7(size_t block) {
    const Shape& s = m_.shape;
    mixes({"att.x_r", "att.x_w", "att.x_k", "att.x_v", "att.x_a", "att.x_g"});
    const auto part = [&](const std::string& letter, size_t rank, double low, double high) {
      add("att." + letter + "0", {1, 1, s.att()}, low, high);
      lora("att." + letter + "1", s.d_model, rank, 1);
      lora("att." + letter + "2", rank, s.att(), 0.7);
    };
    part("w", s.rank.decay, -6, 1);
    part("a", s.rank.iclr, -1, 1);
    if (block > 0) part("v", s.rank.value, -1, 1);
    lora("att.g1", s.d_model, s.rank.gate, 1);
    lora("att.g2", s.rank.gate, s.att(), 1.5);
    add("att.k_k", {1, 1, s.att()}, 0.4, 1.2);
    add("att.k_a", {1, 1, s.att()}, 0.5, 1.3);
    add("att.r_k", {s.n_head(), s.head_size}, -0.4, 0.4);
    projections({"receptance", "key", "value"});
    norm("att.ln_x", s.att());
  }
  void channel_mix() {
    const Shape& s = m_.shape;
    if (s.version == Version::kV7) {
      mixes({"ffn.x_k"});
    } else if (s.version == Version::kV6) {
      mixes({"ffn.time_maa_k", "ffn.time_maa_r"});
    } else {
      mixes({"ffn.time_mix_k", "ffn.time_mix_r"});
    }
    matrix("ffn.key.weight", s.d_ffn, s.d_model, 1);
    matrix("ffn.value.weight", s.d_model, s.d_ffn, 0.5);
    if (s.version != Version::kV7) matrix("ffn.receptance.weight", s.d_model, s.d_model, 1);
    if (s.deep_embed) deep_embed();
  }
  // v7a: the factor of the hidden row is about 1 +- 1.
  void deep_embed() {
    const Shape& s = m_.shape;
    const DeepEmbed& deep = s.deep_embed;
    const double bound = std::sqrt(3.0 / static_cast<double>(deep.n_in));
    add("ffn.s_emb.weight", {s.n_vocab, deep.row()}, -bound, bound);
    if (deep.from_embedding) matrix("ffn.s_emb_x.weight", deep.row(), s.d_model, bound);
    lora("ffn.s1", s.d_model, deep.n_in, 1);
    lora("ffn.s2", deep.n_out, s.d_ffn, 0.7);
    add("ffn.s0", {1, 1, s.d_ffn}, 0.5, 1.5);
  }

  Random random_;
  SyntheticModel m_;
  std::string prefix_;
};

inline SyntheticModel make_model(const Shape& shape) { return SyntheticMaker(shape).make(); }

inline std::vector<uint32_t> random_ids(size_t n, size_t n_vocab, uint64_t seed) {
  Random random(seed);
  std::vector<uint32_t> ids(n);
  for (uint32_t& id : ids) id = static_cast<uint32_t>(random.below(n_vocab));
  return ids;
}

}  // namespace fathom::test
