// SPDX-License-Identifier: Apache-2.0
// Runs a Model over one token sequence, block by block, and compares with LiteralRwkv.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "formats/temp_folder.h"
#include "model/literal_rwkv.h"
#include "model/model.h"
#include "model/synthetic_layouts.h"

namespace fathom::test {

struct ModelRun {
  std::vector<float> hidden;         // (L + 1, T, C)
  std::vector<float> final, logits;  // (T, C), (T, V) or empty
  State state;
};

// chunk: tokens fed at a time, with carried state; 0: all.
inline ModelRun run_model(const Model& model, std::span<const uint32_t> ids, size_t chunk,
                          Workspace& work) {
  const size_t c = model.config().d_model, n_layer = model.config().n_layer, n = ids.size();
  ModelRun run{std::vector<float>((n_layer + 1) * n * c),
               std::vector<float>(n * c),
               {},
               model.initial_state()};
  State* const states[] = {&run.state};
  if (chunk == 0) chunk = n;
  for (size_t begin = 0; begin < n; begin += chunk) {
    const size_t size = std::min(chunk, n - begin);
    const size_t offsets[] = {0, size};
    const auto x = work.matrix(Workspace::kResidual, size, c);
    model.embed(ids.subspan(begin, size), x, work);
    for (size_t layer = 0;; ++layer) {
      std::copy_n(x.data(), size * c, &run.hidden[(layer * n + begin) * c]);
      if (layer == n_layer) break;
      model.run_block(layer, {offsets, states, {}, ids.subspan(begin, size)}, x, work);
    }
    model.norm_out(x, {&run.final[begin * c], size, c}, work);
  }
  if (!model.config().has_head) return run;
  const auto head = model.pack_head(work);
  const auto out = work.matrix(Workspace::kHidden, n, model.config().n_vocab);
  model.logits(*head, {run.final.data(), n, c}, out, work);
  run.logits.assign(out.data(), out.data() + n * model.config().n_vocab);
  return run;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}
inline bool same_bits(State& a, State& b) {
  for (size_t i = 0; i < a.n_layer(); ++i)
    if (!same_bits(a.att_shift(i), b.att_shift(i)) || !same_bits(a.ffn_shift(i), b.ffn_shift(i)) ||
        !same_bits(a.wkv(i), b.wkv(i)))
      return false;
  return true;
}
inline void expect_same_run(ModelRun& a, ModelRun& b, const std::string& what) {
  EXPECT_TRUE(same_bits(a.hidden, b.hidden)) << what << ": hidden";
  EXPECT_TRUE(same_bits(a.final, b.final)) << what << ": final";
  EXPECT_TRUE(same_bits(a.logits, b.logits)) << what << ": logits";
  EXPECT_TRUE(same_bits(a.state, b.state)) << what << ": state";
}

// max |got - want| / max |want|; infinite for another size or a number that is not finite.
template <class A, class B>
double relative_error(const A& got, const B& want) {
  if (got.size() != want.size() || got.size() == 0) return HUGE_VAL;
  double error = 0, size = 1e-30;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return HUGE_VAL;
    error = std::max(error, std::abs(double{got[i]} - double{want[i]}));
    size = std::max(size, std::abs(double{want[i]}));
  }
  return error / size;
}
template <class A, class B>
double cosine(const A& a, const B& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * double{b[i]};
    aa += double{a[i]} * double{a[i]};
    bb += double{b[i]} * double{b[i]};
  }
  return ab / std::sqrt(aa * bb);
}

// What LiteralRwkv gives, and how far f32 may be from it: 2e-5 of the largest value, or 16 times
// what errors of 2^-23 in every matrix product do (the rule of the golden files).
struct Expected {
  LiteralRwkv exact, noisy;

  Expected(const SyntheticModel& m, const std::vector<uint32_t>& ids, double ln_x_eps = 64e-5)
      : exact(m, ln_x_eps), noisy(m, ln_x_eps, 0x1p-23) {
    exact.feed(ids);
    noisy.feed(ids);
  }
  static double tolerance(const LiteralRwkv::Row& a, const LiteralRwkv::Row& b) {
    return std::max(2e-5, 16 * relative_error(a, b));
  }
};

inline void expect_near(std::span<const float> got, const LiteralRwkv::Row& want,
                        const LiteralRwkv::Row& noisy, const std::string& what) {
  EXPECT_LE(relative_error(got, want), Expected::tolerance(want, noisy)) << what;
}

inline void expect_near(ModelRun& run, const Expected& e, const SyntheticModel& m,
                        const std::string& what) {
  const size_t size = e.exact.hidden[0].size();
  for (size_t i = 0; i < e.exact.hidden.size(); ++i)
    expect_near(std::span(run.hidden).subspan(i * size, size), e.exact.hidden[i], e.noisy.hidden[i],
                concat(what, ": hidden ", i));
  expect_near(run.final, e.exact.final, e.noisy.final, what + ": final");
  if (!e.exact.logits.empty())
    expect_near(run.logits, e.exact.logits, e.noisy.logits, what + ": logits");
  const size_t a = m.shape.att();
  for (size_t i = 0; i < m.shape.n_layer; ++i) {
    const auto &x = e.exact.carried[i], &n = e.noisy.carried[i];
    const std::string at = concat(what, ": block ", i, " ");
    expect_near(run.state.att_shift(i), x.att_x, n.att_x, at + "att shift");
    expect_near(run.state.ffn_shift(i), x.ffn_x, n.ffn_x, at + "ffn shift");
    if (m.shape.version == Version::kV4) {
      expect_near(run.state.wkv(i).subspan(0, a), x.aa, n.aa, at + "aa");
      expect_near(run.state.wkv(i).subspan(a, a), x.bb, n.bb, at + "bb");
      expect_near(run.state.wkv(i).subspan(2 * a, a), x.pp, n.pp, at + "pp");
    } else {
      expect_near(run.state.wkv(i), x.wkv, n.wkv, at + "wkv");
    }
  }
}

// The model through a file in BlinkDL's names.
inline Model open_blinkdl(const SyntheticModel& m, const Backend& backend,
                          const ModelOptions& options = {}) {
  const TempFolder folder;
  // Small models whose weights are stored finer than bf16 are not computed in it.
  const StoredType dtype = options.compute == Compute::kBF16 ? StoredType::kBF16 : StoredType::kF32;
  write_arrays(folder.file("m.safetensors"), m.arrays, dtype);
  return Model::open(folder.file("m.safetensors"), backend, options);  // stays mapped
}

}  // namespace fathom::test
