// SPDX-License-Identifier: Apache-2.0
// Vectors that are not finite: found, and the block that is to blame.
#include "encode/nonfinite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "depth/mask.h"
#include "encode/encode_texts.h"

namespace fathom::test::nonfinite_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(NonFinite, IsFoundWhereverItStands) {
  std::vector<float> values(1000, std::numeric_limits<float>::max());
  EXPECT_TRUE(all_finite(values));
  EXPECT_TRUE(all_finite({}));
  EXPECT_EQ(find_nonfinite(values, 2, 5), std::nullopt);
  for (float bad : {kNan, -kNan, kInf, -kInf})
    for (size_t at : {size_t{0}, size_t{17}, size_t{999}}) {
      std::vector<float> one = values;
      one[at] = bad;
      EXPECT_FALSE(all_finite(one)) << at;
      EXPECT_EQ(n_nonfinite(one), 1u);
    }
  // (2 vectors, 5 texts, 100): the first text, then the first of its vectors.
  values[(0 * 5 + 3) * 100] = kInf;
  values[(1 * 5 + 2) * 100 + 99] = kNan;
  values[(1 * 5 + 2) * 100 + 7] = kNan;
  const auto found = find_nonfinite(values, 2, 5);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text, 2u);
  EXPECT_EQ(found->vector, 1u);
  EXPECT_EQ(found->n, 2u);
}

// A model of 4 blocks whose block `bad` (1-based; 0: the embedding of token 3) is not finite.
SyntheticModel broken(Version version, size_t bad, float value) {
  SyntheticModel m = small(version, 4);
  const std::string name =
      bad == 0 ? "emb.weight" : concat("blocks.", bad - 1, ".ffn.value.weight");
  for (Array& a : m.arrays)
    if (a.name == name) a.values[bad == 0 ? 3 * 40 + 1 : 5] = value;
  return m;
}

TEST(NonFinite, TheFirstBlockIsNamed) {
  for (Version version : {Version::kV4, Version::kV5_2, Version::kV6, Version::kV7})
    for (size_t bad = 0; bad <= 4; ++bad) {
      SCOPED_TRACE(concat(name_of(version), " ", bad));
      const Model model = open_blinkdl(broken(version, bad, kNan), cpu_backend());
      Workspace work(1);
      const Texts texts = {{3, 1, 4}, {3}, random_ids(60, 37, 5)};
      for (size_t budget : {size_t{16}, size_t{1024}})  // the last text in pieces, or whole
        for (Scan scan : {Scan::kForward, Scan::kBoth, Scan::kEcho}) {
          EncodeOptions options = all_layers(4);
          options.batch_tokens = budget;
          options.scan = scan;
          const Encoder encoder(model, options);
          EXPECT_EQ(encoder.first_nonfinite_layer({texts.data(), 1}, work), bad);
          std::vector<float> out(encoder.n_vector() * texts.size() * encoder.dim());
          encoder.encode(texts, out, work);
          const auto at = find_nonfinite(out, encoder.n_vector(), texts.size());
          ASSERT_TRUE(at);
          EXPECT_EQ(at->text, 0u);
          EXPECT_EQ(at->vector, bad) << "layer of the same number";
          EXPECT_THAT(explain_nonfinite(encoder, texts, *at, work),
                      AllOf(HasSubstr(concat("layer ", bad, " is not finite")),
                            HasSubstr(bad == 0 ? std::string("embedding itself")
                                               : concat("block ", bad, " is the first"))));
        }
    }
}

// A token that no text has does no harm; nor does a block that no text reaches.
TEST(NonFinite, WhatIsNotReachedIsNotBlamed) {
  Workspace work(1);
  const Model embedding = open_blinkdl(broken(Version::kV6, 0, kInf), cpu_backend());
  const Encoder all(embedding, all_layers(4));
  const Texts without = {{1, 2, 4}}, with = {{1, 2, 3}};
  EXPECT_EQ(all.first_nonfinite_layer(without, work), std::nullopt);
  EXPECT_EQ(all.first_nonfinite_layer(with, work), 0u);
  const Model third = open_blinkdl(broken(Version::kV6, 3, kNan), cpu_backend());
  EncodeOptions options;
  options.layers = {2};
  EXPECT_EQ(Encoder(third, options).first_nonfinite_layer(with, work), std::nullopt);
  options.layers = {4};
  EXPECT_EQ(Encoder(third, options).first_nonfinite_layer(with, work), 3u);
}

TEST(NonFinite, UnderADepthPolicy) {
  Workspace work(1);
  const Model model = open_blinkdl(broken(Version::kV7, 3, kNan), cpu_backend());
  BlockMask mask = BlockMask::all(4);
  mask.time_mix[1] = mask.channel_mix[1] = false;
  const MaskedDepth policy("mask:m", mask);
  const Encoder encoder(model, {}, &policy);
  const Texts texts = {{1, 2}, {3, 4}};
  EXPECT_EQ(encoder.first_nonfinite_layer(texts, work), 3u);
  EXPECT_THAT(explain_nonfinite(encoder, texts, {1, 0, 40}, work),
              AllOf(HasSubstr("mask:m"), HasSubstr("40 of 40"), HasSubstr("block 3")));
  mask.channel_mix[2] = false;  // the broken sublayer does not run
  const MaskedDepth around("mask:m", mask);
  EXPECT_EQ(Encoder(model, {}, &around).first_nonfinite_layer(texts, work), std::nullopt);
}

TEST(NonFinite, EveryDtypeTellsTheSameBlock) {
  Workspace work(1);
  for (const Backend* backend : {&reference_backend(), &cpu_backend()})
    for (Compute compute : {Compute::kF32, Compute::kBF16, Compute::kInt8})
      for (float value : {kNan, kInf}) {
        if (!backend->supports(compute)) continue;
        SCOPED_TRACE(concat(backend->name(), " ", name_of(compute), " ", value));
        ModelOptions options;
        options.compute = compute;
        options.small_as_asked = true;
        const Model model = open_blinkdl(broken(Version::kV6, 2, value), *backend, options);
        const Encoder encoder(model, all_layers(4));
        const Texts texts = {{1, 2, 3}};
        EXPECT_EQ(encoder.first_nonfinite_layer(texts, work), 2u);
      }
}

// One token of many that is not finite: no pooling may lose it.
TEST(NonFinite, EveryPoolingKeepsIt) {
  const SyntheticModel m = broken(Version::kV6, 0, kNan);  // of token 3
  for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
    const Model model = open_blinkdl(m, *backend);
    Workspace work(1);
    for (Pooling pooling : {Pooling::kMean, Pooling::kMax, Pooling::kWeighted})
      for (const std::vector<Token>& text :
           {std::vector<Token>{3, 1, 2}, std::vector<Token>{1, 3, 2}, std::vector<Token>{1, 2, 3}})
        for (size_t budget : {size_t{1}, size_t{1024}}) {
          EncodeOptions options;
          options.layers = {0};
          options.pooling = pooling;
          options.batch_tokens = budget;
          std::vector<float> out(2 * 40);
          Encoder(model, options).encode(Texts{text, {1, 2}}, out, work);
          EXPECT_FALSE(all_finite(std::span(out).first(40))) << name_of(pooling);
          EXPECT_TRUE(all_finite(std::span(out).last(40))) << "its neighbour";
        }
  }
}

// Sums of finite rows that are no float any more: no block is to blame.
TEST(NonFinite, WhatIsMadeOfFiniteRowsIsSaid) {
  EXPECT_THAT(blame_nonfinite(std::nullopt, "pooling"),
              AllOf(HasSubstr("every block is finite"), HasSubstr("pooling")));
  EXPECT_THAT(blame_nonfinite(0, ""), HasSubstr("layer 0"));
  EXPECT_THAT(blame_nonfinite(7, ""), HasSubstr("block 7 is the first"));
}

}  // namespace
}  // namespace fathom::test::nonfinite_test
