// SPDX-License-Identifier: Apache-2.0
// Objectives of mask searches against their formulas, and how much every sublayer changes.
#include "study/mask_objective.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/error_of.h"
#include "encode/depth_encode.h"
#include "encode/telltale_model.h"
#include "eval/metrics.h"

namespace fathom::test::mask_objective_test {
namespace {

using testing::HasSubstr;

BlockMask mask_without(size_t n_layer, std::vector<size_t> time_mix,
                       std::vector<size_t> channel_mix) {
  BlockMask mask = BlockMask::all(n_layer);
  for (size_t l : time_mix) mask.time_mix[l] = false;
  for (size_t l : channel_mix) mask.channel_mix[l] = false;
  return mask;
}

double cosine(std::span<const float> u, std::span<const float> v) {
  double uv = 0, uu = 0, vv = 0;
  for (size_t i = 0; i < u.size(); ++i) {
    uv += double{u[i]} * v[i];
    uu += double{u[i]} * u[i];
    vv += double{v[i]} * v[i];
  }
  return uv / std::sqrt(uu * vv);
}

// A model of 4 layers, 40 wide, with 8 texts.
struct Bench {
  explicit Bench(Version version = Version::kV6, DeepEmbed deep_embed = {})
      : model(open_blinkdl(small(version, 4, deep_embed), cpu_backend())) {}

  MaskTexts mask_texts() const { return {model, options, texts}; }
  std::span<const float> row(const std::vector<float>& vectors, size_t t) const {
    return std::span(vectors).subspan(t * 40, 40);
  }

  Model model;
  EncodeOptions options;
  Texts texts = some_texts();
  Workspace work{1};
};

TEST(MaskVectors, AreThoseOfTheEncoder) {
  Bench b;
  EncodeOptions layers = b.options;
  layers.layers = {2};
  EXPECT_TRUE(
      same_bits(vectors_at(b.mask_texts(), 2, b.work), encode(b.model, layers, b.texts).values));
  const BlockMask mask = mask_without(4, {1}, {2, 3});
  EXPECT_TRUE(same_bits(vectors_under(b.mask_texts(), mask, b.work),
                        encode_depth(b.model, MaskedDepth("m", mask), b.options, b.texts).values));
}

TEST(MaskObjective, CosineIsTheMeanDistanceFromTheReference) {
  Bench b;
  const MaskObjective objective(b.mask_texts(), ObjectiveKind::kCosine, 3, {}, b.work);
  EXPECT_NEAR(objective(mask_without(4, {3}, {3})), 0, 1e-12) << "layer 3 itself";
  const BlockMask mask = mask_without(4, {0, 2}, {1});
  const std::vector<float> now = vectors_under(b.mask_texts(), mask, b.work),
                           then = vectors_at(b.mask_texts(), 3, b.work);
  const std::vector<double> losses = objective.text_losses(mask);
  ASSERT_EQ(losses.size(), 8u);
  double mean = 0;
  for (size_t t = 0; t < 8; ++t) {
    EXPECT_NEAR(losses[t], 1 - cosine(b.row(now, t), b.row(then, t)), 1e-12);
    mean += losses[t] / 8;
  }
  EXPECT_NEAR(objective(mask), mean, 1e-12);
  EXPECT_GT(mean, 0.01);
  EXPECT_EQ(objective.text_losses(now), losses);
}

TEST(MaskObjective, RsaComparesTheCosinesOfAllPairs) {
  Bench b;
  const MaskObjective objective(b.mask_texts(), ObjectiveKind::kRsa, 4, {}, b.work);
  EXPECT_NEAR(objective(BlockMask::all(4)), 0, 1e-12);
  const BlockMask mask = mask_without(4, {0, 2}, {1});
  const std::vector<float> now = vectors_under(b.mask_texts(), mask, b.work),
                           then = vectors_at(b.mask_texts(), 4, b.work);
  std::vector<double> x, y;
  for (size_t i = 0; i < 8; ++i)
    for (size_t j = i + 1; j < 8; ++j) {
      x.push_back(cosine(b.row(now, i), b.row(now, j)));
      y.push_back(cosine(b.row(then, i), b.row(then, j)));
    }
  EXPECT_NEAR(objective(mask), 1 - spearman(x, y), 1e-12);
}

TEST(MaskObjective, LabelIsTheSpearmanOfPairs) {
  Bench b;
  const std::vector<double> gold = {3, 1, 2, 5};
  const MaskObjective objective(b.mask_texts(), ObjectiveKind::kLabel, 0, gold, b.work);
  const BlockMask mask = mask_without(4, {0}, {1});
  const std::vector<float> now = vectors_under(b.mask_texts(), mask, b.work);
  std::vector<double> cosines;
  for (size_t i = 0; i < 8; i += 2) cosines.push_back(cosine(b.row(now, i), b.row(now, i + 1)));
  EXPECT_NEAR(objective(mask), -spearman(cosines, gold), 1e-12);
  const std::vector<double> by_layer = spearman_by_layer(b.mask_texts(), gold, b.work);
  ASSERT_EQ(by_layer.size(), 5u);
  EXPECT_NEAR(by_layer[2], -objective(mask_without(4, {2, 3}, {2, 3})), 1e-12);
}

// Masks under which all texts are the same know nothing: neither an error nor the best loss.
TEST(MaskObjective, AConstantVectorKnowsNothing) {
  Bench b;
  b.texts.assign(4, {1, 2, 3});
  b.texts[0] = {9, 9, 4};
  b.texts[2] = {7};
  const std::vector<double> gold = {1, 2};
  const MaskObjective objective(b.mask_texts(), ObjectiveKind::kLabel, 0, gold, b.work);
  b.texts.assign(4, {1, 2, 3});
  EXPECT_EQ(objective(BlockMask::all(4)), 0);
}

TEST(MaskObjective, RefusesTextsThatSayNothing) {
  Bench b;
  const auto make = [&](ObjectiveKind kind, std::vector<double> gold = {}) {
    return error_of([&] { MaskObjective(b.mask_texts(), kind, 4, gold, b.work); });
  };
  EXPECT_THAT(make(ObjectiveKind::kLabel, {2, 2, 2, 2}),
              HasSubstr("4 gold values are all the same"));
  b.texts.assign(3, {1, 2, 3});
  EXPECT_THAT(make(ObjectiveKind::kRsa), HasSubstr("cosines of all texts at layer 4 are the same"));
  b.texts.resize(2);
  EXPECT_THAT(make(ObjectiveKind::kRsa), HasSubstr("at least 3 texts, got 2"));
  b.texts.clear();
  EXPECT_THAT(make(ObjectiveKind::kCosine), HasSubstr("no texts"));
  EXPECT_THAT(error_of([] { parse_objective("mse"); }),
              HasSubstr("cosine, rsa, label or task, got 'mse'"));
  for (ObjectiveKind kind : {ObjectiveKind::kCosine, ObjectiveKind::kRsa, ObjectiveKind::kLabel})
    EXPECT_EQ(parse_objective(name_of(kind)), kind);
}

TEST(PairwiseCosines, RowByRow) {
  const std::vector<float> v = {1, 0, 0, 2, 3, 3};
  ThreadPool pool(2);
  const std::vector<double> c = pairwise_cosines({v.data(), 3, 2}, pool);
  ASSERT_EQ(c.size(), 3u);
  EXPECT_NEAR(c[0], 0, 1e-12);
  EXPECT_NEAR(c[1], std::sqrt(0.5), 1e-12);
  EXPECT_NEAR(c[2], std::sqrt(0.5), 1e-12);
  EXPECT_TRUE(pairwise_cosines({v.data(), 1, 2}, pool).empty());
  EXPECT_TRUE(pairwise_cosines({v.data(), 0, 2}, pool).empty());
}

// Two texts, one block: the values follow from the vectors by hand.
TEST(SublayerStates, InfluenceAndAngleOfHandMadeVectors) {
  SublayerStates s;
  s.n_layer = 1;
  s.n_text = 2;
  s.dim = 2;
  s.pooled = {1, 0, 0, 1,    // in front
              1, 1, 0, 3,    // behind time mix: 45 degrees, 0 degrees
              0, 1, 0, -1};  // behind channel mix: 45 degrees, 180 degrees
  const double r = std::sqrt(0.5);
  EXPECT_NEAR(s.pooled_influence(0, 1), (1 - r) / 2, 1e-7);
  EXPECT_NEAR(s.pooled_influence(1, 2), ((1 - r) + 2) / 2, 1e-7);
  EXPECT_NEAR(s.pooled_influence(0, 2), (1 + 2) / 2.0, 1e-7);
  EXPECT_NEAR(s.angular_distance(0, 1), 0.25 / 2, 1e-7);
  EXPECT_NEAR(s.angular_distance(1, 2), (0.25 + 1) / 2, 1e-7);
  EXPECT_NEAR(s.angular_distance(0, 2), (0.5 + 1) / 2, 1e-7);
}

// Block Influence by its definition, over the rows of every text alone.
TEST(SublayerStates, BlockInfluenceIsOneMinusTheMeanCosineOfRows) {
  const std::pair<Version, DeepEmbed> kinds[] = {{Version::kV4, {}},
                                                 {Version::kV5_2, {}},
                                                 {Version::kV6, {}},
                                                 {Version::kV7, {}},
                                                 {Version::kV7, {3, 5, true}}};
  for (const auto& [version, deep_embed] : kinds) {
    Bench b(version, deep_embed);
    b.options.batch_tokens = 20;  // several batches, one text longer than that
    const SublayerStates states = sublayer_states(b.mask_texts(), b.work);
    std::vector<double> sublayer(8), block(4);
    double n_row = 0;
    for (const auto& ids : b.texts) {
      const size_t n = ids.size(), offsets[] = {0, n};
      State state = b.model.initial_state();
      State* const kept[] = {&state};
      Workspace work(1);
      const auto x = work.matrix(Workspace::kResidual, n, 40);
      b.model.embed(ids, x, work);
      const auto rows = [&] { return std::vector<float>(x.data(), x.data() + n * 40); };
      const auto sum = [&](const std::vector<float>& before) {
        double cosines = 0;
        for (size_t t = 0; t < n; ++t) cosines += cosine(b.row(before, t), x.row(t));
        return cosines;
      };
      for (size_t l = 0; l < 4; ++l) {
        const std::vector<float> front = rows();
        b.model.run_time_mix(l, {offsets, kept, {}, ids}, x, work);
        sublayer[2 * l] += sum(front);
        const std::vector<float> middle = rows();
        b.model.run_channel_mix(l, {offsets, kept, {}, ids}, x, work);
        sublayer[2 * l + 1] += sum(middle);
        block[l] += sum(front);
      }
      n_row += static_cast<double>(n);
    }
    for (size_t i = 0; i < 8; ++i)
      EXPECT_NEAR(states.sublayer_influence[i], 1 - sublayer[i] / n_row, 1e-9)
          << name_of(version) << i;
    for (size_t l = 0; l < 4; ++l)
      EXPECT_NEAR(states.block_influence[l], 1 - block[l] / n_row, 1e-9) << name_of(version) << l;
  }
}

TEST(SublayerStates, BoundariesOfBlocksAreLayers) {
  for (Version version : {Version::kV4, Version::kV6, Version::kV7})
    for (Norm norm : {Norm::kNone, Norm::kLnOut})
      for (Pooling pooling : kPoolings) {
        Bench b(version);
        b.options = {
            Reading{.pooling = pooling, .norm = norm, .bos = 5, .scan = Scan::kReverse}, {}, 24};
        const SublayerStates states = sublayer_states(b.mask_texts(), b.work);
        for (size_t l = 0; l <= 4; ++l) {
          const std::vector<float> layer = vectors_at(b.mask_texts(), l, b.work);
          for (size_t t = 0; t < 8; ++t)
            for (size_t i = 0; i < 40; ++i)
              ASSERT_NEAR(states.vector(2 * l, t)[i], layer[t * 40 + i], 1e-5)
                  << name_of(version) << " layer " << l << " text " << t;
        }
      }
}

// Sublayer j of the telltale model adds 1 to dimension j: what lies between two boundaries shows.
TEST(SublayerStates, BoundariesOfSublayersFollowTheOrderInWhichTheyRun) {
  const Model model = open_blinkdl(telltale_model(Version::kV6, 3), cpu_backend());
  const Texts texts = {{1, 2, 3}, {4}};
  Workspace work(1);
  const SublayerStates states = sublayer_states({model, {}, texts}, work);
  for (size_t boundary = 0; boundary <= 6; ++boundary)
    for (size_t j = 0; j < 6; ++j)
      EXPECT_NEAR(states.vector(boundary, 1)[j], j < boundary ? 1 : 0, 1e-5);
}

TEST(SublayerStates, RefusesWhatHasNoBoundaries) {
  Bench b;
  const auto refused = [&](EncodeOptions options) {
    b.options = options;
    return error_of([&] { sublayer_states(b.mask_texts(), b.work); });
  };
  EXPECT_THAT(refused({Reading{.scan = Scan::kEcho}}), HasSubstr("scan: "));
  EXPECT_THAT(refused({Reading{.scan = Scan::kBoth}}),
              HasSubstr("expected forward or reverse, got both"));
  EXPECT_THAT(refused({Reading{.pooling = Pooling::kEos}}), HasSubstr("got eos"));
  b.texts[2].clear();
  EXPECT_THAT(refused({}), HasSubstr("text 3 has no token"));
  b.texts.clear();
  EXPECT_THAT(refused({}), HasSubstr("no texts"));
}

// The sublayer whose removal changes nothing is the one that greedy search finds.
TEST(MaskObjective, SearchFindsASublayerThatDoesNothing) {
  SyntheticModel m = small(Version::kV6, 4);
  for (Array& a : m.arrays)
    if (a.name == "blocks.2.ffn.value.weight") std::ranges::fill(a.values, 0.0f);
  const Model model = open_blinkdl(m, cpu_backend());
  const Texts texts = some_texts();
  Workspace work(1);
  const MaskTexts mask_texts{model, {}, texts};
  const MaskObjective objective(mask_texts, ObjectiveKind::kCosine, 4, {}, work);
  const PruneProblem problem =
      prune_problem(cost_model(model.config()), UnitKind::kSublayer, 0, 1, 1);
  const MaskSearch found = greedy_search(problem, std::cref(objective));
  EXPECT_EQ(pattern_of(found.mask), "TC TC T. TC");
  EXPECT_NEAR(found.loss, 0, 1e-12);
  EXPECT_NEAR(sublayer_states(mask_texts, work).sublayer_influence[5], 0, 1e-9);
}

}  // namespace
}  // namespace fathom::test::mask_objective_test
