// SPDX-License-Identifier: Apache-2.0
// A model whose output tells which sublayers ran: time mix of block l (0-based) adds 1 to
// dimension 2 l of every row, channel mix adds 1 to dimension 2 l + 1. The embedding leaves these
// dimensions 0, the others depend on the token.
#pragma once

#include <algorithm>

#include "encode/encode_texts.h"

namespace fathom::test {

class TelltaleMaker {
 public:
  // d_model 24, so at most 11 blocks. Version: v4, v6 or v7.
  TelltaleMaker(Version version, size_t n_layer) : v7_(version == Version::kV7) {
    Shape s;
    s.version = version;
    s.n_layer = n_layer;
    m_ = make_model(s);
    for (size_t j = 0; j < 2 * n_layer; ++j) {
      at("blocks.0.ln0.weight", j) = 0;
      at("blocks.0.ln0.bias", j) = 0;
    }
    for (size_t l = 0; l < n_layer; ++l) {
      prefix_ = concat("blocks.", l, ".");
      // What a sublayer sees is 1 everywhere: no token matters, nor the one before it.
      fill("ln1.weight", 0), fill("ln1.bias", 1), fill("ln2.weight", 0), fill("ln2.bias", 1);
      time_mix(version, l);
      channel_mix(version, l);
    }
  }
  SyntheticModel make() { return std::move(m_); }

 private:
  Array& array(const std::string& name) { return const_cast<Array&>(m_.get(prefix_ + name)); }
  void fill(const std::string& name, float value) { std::ranges::fill(array(name).values, value); }
  float& at(const std::string& name, size_t i) { return array(name).values.at(i); }
  // A matrix (n, C) with one entry.
  void only(const std::string& name, size_t row, size_t col, float value) {
    fill(name, 0);
    at(name, row * array(name).shape[1] + col) = value;
  }

  void time_mix(Version version, size_t l) {
    if (version == Version::kV4) {
      for (const char* mix : {"att.time_mix_k", "att.time_mix_v", "att.time_mix_r"}) fill(mix, 1);
      only("att.value.weight", 0, 0, 1);  // the weighted average of ones is 1
      fill("att.receptance.weight", 0);   // sigmoid: 1/2
      only("att.output.weight", 2 * l, 0, 2);
      return;
    }
    fill("att.ln_x.weight", 0), fill("att.ln_x.bias", 1);  // the recurrence does not matter
    if (version == Version::kV6) {
      for (const char* mix :
           {"att.time_maa_x", "att.time_maa_w", "att.time_maa_k", "att.time_maa_v",
            "att.time_maa_r", "att.time_maa_g", "att.time_maa_w1"})
        fill(mix, 0);
      only("att.gate.weight", 0, 0, 1);
      only("att.output.weight", 2 * l, 0, static_cast<float>(1 + std::exp(-1)));  // 1 / silu(1)
    } else {
      for (const char* mix : {"att.x_r", "att.x_w", "att.x_k", "att.x_v", "att.x_a", "att.x_g"})
        fill(mix, 0);
      fill("att.r_k", 0);
      fill("att.g1", 0);  // sigmoid: 1/2
      fill("att.g2", 0);
      at("att.g2", 0) = 2;  // (R, A): gate 0 is 1
      only("att.output.weight", 2 * l, 0, 1);
    }
  }
  void channel_mix(Version version, size_t l) {
    if (v7_) {
      fill("ffn.x_k", 0);
    } else {
      const bool v6 = version == Version::kV6;
      fill(v6 ? "ffn.time_maa_k" : "ffn.time_mix_k", v6 ? 0 : 1);
      fill(v6 ? "ffn.time_maa_r" : "ffn.time_mix_r", v6 ? 0 : 1);
      fill("ffn.receptance.weight", 0);  // sigmoid: 1/2
    }
    only("ffn.key.weight", 0, 0, 1);
    only("ffn.value.weight", 2 * l + 1, 0, v7_ ? 1 : 2);
  }

  bool v7_;
  SyntheticModel m_;
  std::string prefix_;
};

inline SyntheticModel telltale_model(Version version, size_t n_layer) {
  return TelltaleMaker(version, n_layer).make();
}

// Steps of every block as a pooled vector of the telltale model tells them, (n_layer); fails where
// a dimension is neither 0 nor 1.
inline std::vector<Step> steps_told(std::span<const float> vector, size_t n_layer) {
  std::vector<Step> steps;
  const auto ran = [&](size_t j) {
    EXPECT_TRUE(std::abs(vector[j]) < 1e-5 || std::abs(vector[j] - 1) < 1e-5) << vector[j];
    return vector[j] > 0.5;
  };
  for (size_t l = 0; l < n_layer; ++l)
    steps.push_back(static_cast<Step>((ran(2 * l) ? 1 : 0) | (ran(2 * l + 1) ? 2 : 0)));
  return steps;
}

}  // namespace fathom::test
