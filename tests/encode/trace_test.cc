// SPDX-License-Identifier: Apache-2.0
// Every array of a trace against LiteralRwkv, and feeding in pieces.
#include "encode/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/run_model.h"

namespace fathom::test::trace_test {
namespace {

constexpr Version kVersions[] = {Version::kV4,   Version::kV5_0, Version::kV5_1,
                                 Version::kV5_2, Version::kV6,   Version::kV7};

SyntheticModel small(Version version, DeepEmbed deep_embed = {}) {
  Shape s;
  s.version = version;
  s.n_layer = 3;
  s.d_model = 40;
  s.head_size = 20;
  s.deep_embed = deep_embed;
  s.seed = 21;
  return make_model(s);
}

std::span<const float> part(const std::vector<float>& all, size_t i, size_t size) {
  return std::span(all).subspan(i * size, size);
}

TEST(Trace, IsTheLiteralFormulaInEveryArray) {
  std::vector<std::pair<Version, DeepEmbed>> kinds;
  for (Version version : kVersions) kinds.push_back({version, {}});
  for (const bool x : {false, true}) kinds.push_back({Version::kV7, {4, 6, x}});
  for (const auto& [version, deep_embed] : kinds) {
    const SyntheticModel m = small(version, deep_embed);
    const size_t c = m.shape.d_model, n = 23;
    const auto ids = random_ids(n, m.shape.n_vocab, 6);
    const Expected e(m, ids);
    const Model model = open_blinkdl(m, cpu_backend());
    Workspace work(1);
    Trace t = trace(model, ids, {}, work);
    ASSERT_EQ(t.n_layer, 3u);
    ASSERT_EQ(t.n_token, n);
    ModelRun run{t.hidden, t.final, t.logits, t.state};
    expect_near(run, e, m, concat("v", name_of(version)));

    LiteralRwkv::Row mean(c), last(c);
    for (size_t layer = 0; layer <= 3; ++layer) {
      const auto& hidden = e.exact.hidden[layer];
      std::fill(mean.begin(), mean.end(), 0);
      for (size_t i = 0; i < n * c; ++i) mean[i % c] += hidden[i] / static_cast<double>(n);
      EXPECT_LE(relative_error(part(t.mean, layer, c), mean), 2e-5);
      last.assign(hidden.end() - static_cast<std::ptrdiff_t>(c), hidden.end());
      EXPECT_LE(relative_error(part(t.last, layer, c), last), 2e-5);
    }
    // ln_out of the last layer's rows is `final`.
    std::fill(mean.begin(), mean.end(), 0);
    for (size_t i = 0; i < n * c; ++i) mean[i % c] += e.exact.final[i] / static_cast<double>(n);
    EXPECT_LE(relative_error(part(t.mean_lnout, 3, c), mean), 2e-5);
    EXPECT_TRUE(same_bits(part(t.last_lnout, 3, c), part(t.final, n - 1, c)));
    EXPECT_TRUE(same_bits(t.logits_last, part(t.logits, n - 1, m.shape.n_vocab)));
  }
}

TEST(Trace, LnOutOfEveryLayerIsAveragedAfterTheNorm) {
  const SyntheticModel m = small(Version::kV6);
  const auto ids = random_ids(9, m.shape.n_vocab, 6);
  const Model model = open_blinkdl(m, cpu_backend());
  Workspace work(1);
  const Trace t = trace(model, ids, {}, work);
  const size_t c = m.shape.d_model;
  for (size_t layer = 0; layer <= 3; ++layer) {
    std::vector<float> y(9 * c);
    model.norm_out({t.hidden.data() + layer * 9 * c, 9, c}, {y.data(), 9, c}, work);
    std::vector<double> mean(c);
    for (size_t i = 0; i < 9 * c; ++i) mean[i % c] += double{y[i]} / 9;
    EXPECT_LE(relative_error(part(t.mean_lnout, layer, c), mean), 1e-6) << layer;
    EXPECT_TRUE(same_bits(part(t.last_lnout, layer, c), std::span(y).subspan(8 * c)));
  }
}

TEST(Trace, PiecesGiveTheBitsOfTheWhole) {
  for (Version version : kVersions) {
    const SyntheticModel m = small(version);
    const auto ids = random_ids(37, m.shape.n_vocab, 6);
    for (Compute compute : {Compute::kF32, Compute::kBF16}) {
      if (!cpu_backend().rows_are_exact(compute)) continue;
      ModelOptions options;
      options.compute = compute;
      options.small_as_asked = true;
      const Model model = open_blinkdl(m, cpu_backend(), options);
      Workspace work(2);
      Trace whole = trace(model, ids, {}, work);
      for (size_t chunk : {1, 7, 36, 37, 500}) {
        Trace t = trace(model, ids, {.chunk = chunk, .all_logits = true}, work);
        EXPECT_TRUE(same_bits(t.hidden, whole.hidden)) << name_of(version) << " " << chunk;
        EXPECT_TRUE(same_bits(t.final, whole.final));
        EXPECT_TRUE(same_bits(t.mean, whole.mean));
        EXPECT_TRUE(same_bits(t.last_lnout, whole.last_lnout));
        EXPECT_TRUE(same_bits(t.logits, whole.logits));
        EXPECT_TRUE(same_bits(t.logits_last, whole.logits_last));
        EXPECT_TRUE(same_bits(t.state, whole.state));
      }
    }
  }
}

TEST(Trace, GivesOnlyTheLogitsAskedForAndThere) {
  SyntheticModel m = small(Version::kV6);
  const auto ids = random_ids(5, m.shape.n_vocab, 6);
  Workspace work(1);
  {
    const Model model = open_blinkdl(m, cpu_backend());
    const Trace all = trace(model, ids, {}, work);
    const Trace last = trace(model, ids, {.chunk = 0, .all_logits = false}, work);
    EXPECT_TRUE(last.logits.empty());
    EXPECT_TRUE(same_bits(last.logits_last, all.logits_last));
  }
  m.remove("head.weight");
  const Model model = open_blinkdl(m, cpu_backend());
  const Trace none = trace(model, ids, {}, work);
  EXPECT_TRUE(none.logits.empty());
  EXPECT_TRUE(none.logits_last.empty());
  EXPECT_FALSE(none.final.empty());
}

TEST(Trace, RefusesNothingAndIdsBeyondTheVocabulary) {
  const SyntheticModel m = small(Version::kV6);
  const Model model = open_blinkdl(m, cpu_backend());
  Workspace work(1);
  const uint32_t bad[] = {1, 37};
  EXPECT_THAT([&] { trace(model, {}, {}, work); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("at least one token")));
  EXPECT_THAT([&] { trace(model, bad, {}, work); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("token id 37")));
}

}  // namespace
}  // namespace fathom::test::trace_test
