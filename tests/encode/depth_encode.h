// SPDX-License-Identifier: Apache-2.0
// Encoding under a depth policy, policies with a script, and the same thing done the simple way.
#pragma once

#include <bit>
#include <optional>

#include "depth/policy.h"
#include "encode/encode_texts.h"
#include "encode/pooling.h"

namespace fathom::test {

struct DepthEncoded {
  std::vector<float> values;  // (n_text, dim)
  std::vector<DepthTrace> trace;
  EncodeStats stats;
  size_t dim = 0;

  std::span<const float> row(size_t t) const { return std::span(values).subspan(t * dim, dim); }
};

inline DepthEncoded encode_depth(const Model& model, const DepthPolicy& policy,
                                 const EncodeOptions& options, const Texts& texts,
                                 size_t n_thread = 1) {
  const Encoder encoder(model, options, &policy);
  Workspace work(n_thread);
  DepthEncoded e;
  e.dim = encoder.dim();
  e.values.resize(texts.size() * e.dim);
  e.trace.resize(texts.size());
  e.stats = encoder.encode(texts, e.values, work, {}, e.trace);
  return e;
}

// Every step follows from what is pooled at the boundary, by a rule that looks random: any mix of
// sublayers, skips and stops in one batch. Decides by pair on the sum of both vectors if asked to.
class ErraticPolicy final : public DepthPolicy {
 public:
  explicit ErraticPolicy(bool pair = false, uint64_t seed = 1) : pair_(pair), seed_(seed) {}
  std::string name() const override { return "erratic"; }
  bool by_pair() const override { return pair_; }
  bool reads_pooled(size_t layer) const override { return layer != 1; }
  size_t scratch() const override { return 3; }
  void decide(const Boundary& at, std::span<Step> steps) const override {
    const size_t together = pair_ ? 2 : 1;
    for (size_t s = 0; s < steps.size(); s += together) {
      EXPECT_EQ(at.pair[s], at.pair[s + together - 1]);
      if (s > 0) {
        EXPECT_NE(at.pair[s], at.pair[s - 1]);
      }
      const Step step = choose(at, s, together);
      for (size_t i = s; i < s + together; ++i) {
        steps[i] = step;
        at.trace[i].confidence = static_cast<float>(at.layer);
        at.scratch.row(i)[2] += 1;  // kept from boundary to boundary
        EXPECT_EQ(at.scratch.row(i)[2], static_cast<double>(at.layer + 1));
      }
    }
  }
  // The step for this boundary's vectors, the ones before, ("" at boundary 1, which is not read).
  Step step_for(size_t layer, std::span<const float> pooled,
                std::span<const float> previous) const {
    uint64_t hash = seed_ + layer;
    for (const auto& values : {pooled, previous})
      for (float v : values) hash = Random(hash ^ std::bit_cast<uint32_t>(v)).next();
    const uint64_t pick = Random(hash).below(9);
    return pick == 8 ? Step::kStop : static_cast<Step>(pick % 4);
  }

 private:
  Step choose(const Boundary& at, size_t s, size_t together) const {
    std::vector<float> now, before;
    for (size_t i = s; i < s + together; ++i) {
      if (at.pooled.rows()) now.insert(now.end(), at.pooled.row(i).begin(), at.pooled.row(i).end());
      if (at.previous.rows())
        before.insert(before.end(), at.previous.row(i).begin(), at.previous.row(i).end());
    }
    return step_for(at.layer, now, before);
  }

  bool pair_;
  uint64_t seed_;
};

// Sequences of `ids` alone, one at a time, straight through the model: no batch is ever changed.
// v7's v_first comes from the time mix of block 0 itself, run on a copy.
class SimpleDepth {
 public:
  SimpleDepth(const Model& model, std::span<const Token> ids, Workspace& work)
      : model_(model), ids_(ids), n_(ids.size()), x_(padded_rows(n_) * c()), work_(work) {
    v_first_.resize(padded_rows(n_) * model.config().d_att);
    offsets_[1] = n_;
    if (model.has_initial_state()) states_.push_back(&state_.emplace(model.initial_state()));
    model.embed(ids, x(), work);
  }
  void run(size_t layer, Step step) {
    if (layer == 0 && model_.config().version == Version::kV7 && !runs(step, Step::kTimeMix)) {
      std::vector<float> copy = x_;
      model_.run_time_mix(0, rows(), {copy.data(), n_, c()}, work_);
    }
    if (runs(step, Step::kTimeMix)) model_.run_time_mix(layer, rows(), x(), work_);
    if (runs(step, Step::kChannelMix)) model_.run_channel_mix(layer, rows(), x(), work_);
  }
  // As the encoder pools it.
  std::vector<float> pooled(Pooling pooling, Norm norm) {
    std::vector<float> rows = x_, out(c());
    if (norm == Norm::kLnOut) model_.norm_out(x(), {rows.data(), n_, c()}, work_);
    Pool pool(pooling, 1, c());
    const size_t zero[] = {0};
    pool.add(model_.backend(), work_.pool(), {rows.data(), n_, c()}, offsets_, zero, zero);
    pool.finish(0, out);
    return out;
  }

 private:
  size_t c() const { return model_.config().d_model; }
  Matrix<float> x() { return {x_.data(), n_, c()}; }
  Rows rows() {
    Rows rows{offsets_, states_, {}, ids_};
    if (model_.config().version == Version::kV7)
      rows.v_first = {v_first_.data(), n_, model_.config().d_att};
    return rows;
  }

  const Model& model_;
  std::span<const Token> ids_;
  size_t n_;
  std::vector<float> x_, v_first_;
  size_t offsets_[2] = {0, 0};
  std::optional<State> state_;
  std::vector<State*> states_;
  Workspace& work_;
};

}  // namespace fathom::test
