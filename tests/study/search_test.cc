// SPDX-License-Identifier: Apache-2.0
// Mask searches on losses whose best mask is known.
#include "study/search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error_of.h"

namespace fathom::test::search_test {
namespace {

using testing::HasSubstr;

CostModel cost_of(size_t n_layer, int version = 6) {
  return {.version = version,
          .n_layer = n_layer,
          .d_model = 64,
          .d_att = 64,
          .d_ffn = 224,
          .head_size = 32,
          .mix_rank = 4,
          .decay_rank = 8,
          .w_rank = 8,
          .a_rank = 8,
          .v_rank = 4,
          .g_rank = 16};
}

PruneProblem remove_sublayers(size_t n_layer, size_t n) {
  return prune_problem(cost_of(n_layer), UnitKind::kSublayer, 0, n, 1);
}

// What every half of a block is worth, time mix of block 1 first; the loss of a mask is the sum of
// what it lacks.
MaskLoss sum_of(std::vector<double> worth, size_t* n_call = nullptr) {
  return [=](const BlockMask& mask) {
    if (n_call) ++*n_call;
    double loss = 0;
    for (size_t l = 0; l < mask.n_layer(); ++l) {
      if (!mask.time_mix[l]) loss += worth[2 * l];
      if (!mask.channel_mix[l]) loss += worth[2 * l + 1];
    }
    return loss;
  };
}

// Half 0 is the cheapest to remove, but only alone: greedy search takes it first and is stuck. The
// best two are 1 and 2, whose loss is 0.4.
MaskLoss with_trap() {
  return [](const BlockMask& mask) {
    const double loss = sum_of({0.1, 0.2, 0.2, 0.6, 0.6, 0.9})(mask);
    return !mask.time_mix[0] && mask.n_kept() < 5 ? loss + 1 : loss;
  };
}

std::vector<size_t> units_of(const std::vector<bool>& removed) {
  std::vector<size_t> units;
  for (size_t b = 0; b < removed.size(); ++b)
    if (removed[b]) units.push_back(b);
  return units;
}

TEST(PruneProblem, UnitsSaveWhatTheirSublayersCost) {
  const CostModel cost = cost_of(3);
  const double all = static_cast<double>(3 * block_cost(cost, 0).total());
  const PruneProblem sublayers = remove_sublayers(3, 1);
  ASSERT_EQ(sublayers.units.size(), 6u);
  EXPECT_EQ(sublayers.units[3].layer, 1u);
  EXPECT_EQ(sublayers.units[3].sublayers, Step::kChannelMix);
  EXPECT_NEAR(sublayers.units[2].share,
              static_cast<double>(block_cost(cost, 1).time_mix.total()) / all, 1e-12);
  EXPECT_NEAR(sublayers.share_without(std::vector<bool>(6, true)), 0, 1e-12);
  const PruneProblem blocks = prune_problem(cost, UnitKind::kBlock, 1, 1, 1);
  ASSERT_EQ(blocks.units.size(), 2u);
  EXPECT_EQ(blocks.units[0].layer, 1u);
  EXPECT_NEAR(blocks.units[0].share, 1.0 / 3, 1e-12);
  EXPECT_EQ(pattern_of(blocks.without({false, true})), "TC TC ..");
  EXPECT_EQ(pattern_of(sublayers.without({true, false, false, true, false, false})), ".C T. TC");
}

// RWKV-7 still makes v_first where block 1's time mix is skipped, and that stays in the bill.
TEST(PruneProblem, VFirstStays) {
  const CostModel cost = cost_of(3, 7);
  BlockMask mask = BlockMask::all(3);
  mask.time_mix[0] = false;
  double all = 0;
  for (size_t l = 0; l < 3; ++l) all += static_cast<double>(block_cost(cost, l).total());
  const double saved = static_cast<double>(block_cost(cost, 0).time_mix.total()) - 64 * 64;
  EXPECT_NEAR(flops_share(cost, mask), 1 - saved / all, 1e-12);
  EXPECT_NEAR(flops_share(cost, {std::vector<bool>(3), std::vector<bool>(3)}), 0, 1e-12);
}

TEST(PruneProblem, KeepsAsNearAsWholeUnitsCome) {
  for (double keep : {0.9, 0.75, 0.5, 0.2}) {
    const PruneProblem p = prune_problem(cost_of(12), UnitKind::kBlock, 0, std::nullopt, keep);
    const MaskSearch found = greedy_search(p, sum_of(std::vector<double>(24, 1)));
    EXPECT_NEAR(found.share, keep, 0.5 / 12 + 1e-9) << keep;
  }
}

TEST(PruneProblem, RefusesWhatCannotBe) {
  const CostModel cost = cost_of(4);
  EXPECT_THAT(error_of([&] { prune_problem(cost, UnitKind::kSublayer, 3, 3, 1); }),
              HasSubstr("to remove 3 of 2 units"));
  EXPECT_THAT(error_of([&] { prune_problem(cost, UnitKind::kSublayer, 2, std::nullopt, 0.25); }),
              HasSubstr("the first 2 blocks, which stay, take 0.5"));
  EXPECT_THAT(error_of([&] { prune_problem(cost, UnitKind::kSublayer, 4, std::nullopt, 1); }),
              HasSubstr("the first 4 blocks"));
  EXPECT_THAT(error_of([&] {
                greedy_search(remove_sublayers(2, 1),
                              [](const BlockMask&) { return std::nan(""); });
              }),
              HasSubstr("not a number"));
}

TEST(LossRate, IsTheLossForWhatIsSaved) {
  EXPECT_DOUBLE_EQ(loss_rate(0.2, 0.1), 2);
  EXPECT_DOUBLE_EQ(loss_rate(-0.2, 0.1), -0.2);
  // Where units are counted, nothing is divided: the papers' rule.
  EXPECT_DOUBLE_EQ(remove_sublayers(3, 2).saved_by(0), 1);
  const PruneProblem by_share =
      prune_problem(cost_of(3), UnitKind::kSublayer, 0, std::nullopt, 0.5);
  EXPECT_DOUBLE_EQ(by_share.saved_by(1), by_share.units[1].share);
}

TEST(RemoveInOrder, TheLowestScoresGo) {
  const std::vector<double> scores = {0.5, 0.1, 0.4, 0.1, 0.9, 0.3};
  const MaskSearch found = remove_in_order(remove_sublayers(3, 3), scores, sum_of(scores));
  EXPECT_EQ(pattern_of(found.mask), "T. T. T.");
  ASSERT_EQ(found.steps.size(), 3u);
  EXPECT_EQ(found.steps[0].unit, 1u) << "the first of equal ones";
  EXPECT_EQ(found.steps[1].unit, 3u);
  EXPECT_EQ(found.steps[2].unit, 5u);
  EXPECT_DOUBLE_EQ(found.steps[2].score, 0.3);
  EXPECT_DOUBLE_EQ(found.steps[1].loss, 0.2);
  EXPECT_DOUBLE_EQ(found.loss, 0.5);
  EXPECT_NEAR(found.share, found.steps[2].share, 1e-12);
}

// Counting FLOPs, a half that saves much may cost more than one that saves little.
TEST(RemoveInOrder, BySavingWhereFlopsAreCounted) {
  const PruneProblem p = prune_problem(cost_of(1), UnitKind::kSublayer, 0, std::nullopt, 0.55);
  const double ratio = p.units[1].share / p.units[0].share;
  ASSERT_GT(ratio, 1.05) << "channel mix is the larger half here";
  const std::vector<double> scores = {1, 1 + (ratio - 1) / 2};
  EXPECT_EQ(remove_in_order(p, scores, sum_of(scores)).steps[0].unit, 1u);
  EXPECT_EQ(remove_in_order(remove_sublayers(1, 1), scores, sum_of(scores)).steps[0].unit, 0u);
}

TEST(RemoveRange, TheNearestEndsWin) {
  const auto distance = [](size_t begin, size_t end) {
    EXPECT_EQ(end - begin, 2u);
    return begin == 3 ? 0.1 : 0.5 - 0.01 * static_cast<double>(begin);
  };
  const MaskSearch found =
      remove_range(remove_sublayers(3, 2), distance, sum_of(std::vector<double>(6, 1)));
  EXPECT_EQ(pattern_of(found.mask), "TC T. .C");
  EXPECT_DOUBLE_EQ(found.steps[1].score, 0.1);
  EXPECT_DOUBLE_EQ(found.loss, 2);
  // Nothing to remove.
  const PruneProblem whole = prune_problem(cost_of(2), UnitKind::kBlock, 0, std::nullopt, 1);
  EXPECT_EQ(pattern_of(remove_range(whole, distance, sum_of({1, 1, 1, 1})).mask), "TC TC");
}

TEST(Greedy, FindsTheBestOfASum) {
  const std::vector<double> worth = {0.8, 0.05, 0.3, 0.2, 0.6, 0.01, 0.4, 0.7};
  size_t n_call = 0;
  const MaskSearch found = greedy_search(remove_sublayers(4, 3), sum_of(worth, &n_call));
  EXPECT_EQ(pattern_of(found.mask), "T. T. T. TC");
  EXPECT_NEAR(found.loss, 0.26, 1e-12);
  EXPECT_EQ(found.steps[0].unit, 5u);
  EXPECT_NEAR(found.steps[2].score, 0.2, 1e-12);
  EXPECT_EQ(found.n_evaluated, n_call) << "no mask twice";
  EXPECT_EQ(n_call, 1u + 8 + 7 + 6);
}

TEST(Greedy, ARemovalThatGainsGoesFirst) {
  const MaskSearch found = greedy_search(remove_sublayers(2, 1), sum_of({0.1, 0.2, -0.4, -0.5}));
  EXPECT_EQ(found.steps[0].unit, 3u);
  EXPECT_DOUBLE_EQ(found.loss, -0.5);
}

TEST(Swaps, LeadOutOfAGreedyTrap) {
  const PruneProblem p = remove_sublayers(3, 2);
  const MaskSearch stuck = greedy_search(p, with_trap());
  EXPECT_EQ(units_of(stuck.removed), (std::vector<size_t>{0, 1}));
  const MaskSearch found = refine_by_swaps(p, stuck.removed, with_trap());
  EXPECT_EQ(units_of(found.removed), (std::vector<size_t>{1, 2}));
  EXPECT_NEAR(found.loss, 0.4, 1e-12);
  ASSERT_EQ(found.steps.size(), 1u);
  EXPECT_NEAR(found.steps[0].score, 1.3 - 0.4, 1e-12);
  EXPECT_TRUE(refine_by_swaps(p, found.removed, with_trap()).steps.empty()) << "no swap gains";
}

TEST(Swaps, NeverRaiseTheFlops) {
  const auto sublayers = remove_sublayers(3, 1).units;
  ASSERT_LT(sublayers[0].share, sublayers[1].share);
  // Removing a channel mix is just enough, a time mix is not: it would gain, but it saves less.
  const double keep = 1 - sublayers[1].share - sublayers[0].share / 2 + 1e-3;
  const PruneProblem p = prune_problem(cost_of(3), UnitKind::kSublayer, 0, std::nullopt, keep);
  std::vector<bool> removed(6, false);
  removed[1] = true;
  ASSERT_GT(p.share_without({true, false, false, false, false, false}), p.most_share());
  const MaskSearch found = refine_by_swaps(p, removed, sum_of({0, 1, 0, 0.5, 0, 0.7}));
  EXPECT_EQ(units_of(found.removed), (std::vector<size_t>{3}));
}

TEST(CrossEntropy, FindsWhatGreedyMisses) {
  const auto loss = with_trap();
  for (uint64_t seed : {1, 2, 3}) {
    const MaskSearch found = cross_entropy_search(remove_sublayers(3, 2), loss, {.seed = seed});
    EXPECT_NEAR(found.loss, 0.4, 1e-12) << seed;
    EXPECT_EQ(std::ranges::count(found.removed, true), 2);
    EXPECT_EQ(found.steps.size(), 15u);
  }
}

TEST(CrossEntropy, FindsTheBestOfMany) {
  std::vector<double> worth(24);
  Random random(5);
  for (double& w : worth) w = static_cast<double>(random.below(1000)) / 1000;
  std::vector<double> sorted = worth;
  std::ranges::sort(sorted);
  const double best = std::accumulate(sorted.begin(), sorted.begin() + 6, 0.0);
  size_t n_call = 0;
  const MaskSearch found =
      cross_entropy_search(remove_sublayers(12, 6), sum_of(worth, &n_call), {.seed = 7});
  EXPECT_LT(found.loss, 1.3 * best + 0.01);
  EXPECT_EQ(found.n_evaluated, n_call);
  EXPECT_LE(n_call, 64u * 15);
  // The elite gets better as the distribution moves.
  EXPECT_LT(found.steps.back().score, 0.6 * found.steps.front().score);
}

TEST(CrossEntropy, ASeedIsARun) {
  const auto loss = sum_of({0.8, 0.05, 0.3, 0.2, 0.6, 0.01, 0.4, 0.7});
  const auto scores = [&](uint64_t seed) {
    std::vector<double> all;
    for (const SearchStep& s :
         cross_entropy_search(remove_sublayers(4, 3), loss, {.seed = seed}).steps)
      all.push_back(s.score);
    return all;
  };
  EXPECT_EQ(scores(3), scores(3));
  EXPECT_NE(scores(3), scores(4));
}

// Keeping everything or nothing is a mask like any other.
TEST(Searches, TakeTheEnds) {
  const auto loss = sum_of({0.1, 0.2, 0.3, 0.4});
  const PruneProblem none = prune_problem(cost_of(2), UnitKind::kSublayer, 0, std::nullopt, 1);
  const PruneProblem all = remove_sublayers(2, 4);
  EXPECT_DOUBLE_EQ(greedy_search(none, loss).loss, 0);
  EXPECT_DOUBLE_EQ(cross_entropy_search(none, loss).loss, 0);
  EXPECT_DOUBLE_EQ(greedy_search(all, loss).loss, 1);
  EXPECT_DOUBLE_EQ(cross_entropy_search(all, loss).loss, 1);
  EXPECT_TRUE(refine_by_swaps(all, last_removed(all), loss).steps.empty());
}

TEST(RandomSearch, IsASeedsMask) {
  const auto loss = sum_of({0.8, 0.05, 0.3, 0.2, 0.6, 0.01, 0.4, 0.7});
  const PruneProblem p = remove_sublayers(4, 3);
  std::vector<size_t> times(8);
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const MaskSearch found = random_search(p, loss, seed);
    EXPECT_EQ(found.removed, random_search(p, loss, seed).removed);
    EXPECT_EQ(found.loss, loss(found.mask));
    EXPECT_EQ(units_of(found.removed).size(), 3u);
    for (size_t b : units_of(found.removed)) ++times[b];
  }
  for (size_t n : times) EXPECT_NEAR(n, 150, 49);  // 400 * 3 / 8, within five deviations
}

TEST(LastRemoved, IsTruncation) {
  const PruneProblem p = prune_problem(cost_of(4), UnitKind::kBlock, 1, 2, 1);
  EXPECT_EQ(pattern_of(p.without(last_removed(p))), "TC TC .. ..");
}

TEST(RandomLike, HasAsManyOfEveryKind) {
  const PruneProblem p = remove_sublayers(6, 4);
  const std::vector<bool> removed = {true,  false, true,  false, true,  true,
                                     false, false, false, false, false, false};
  std::vector<size_t> times(12);
  for (uint64_t seed = 0; seed < 600; ++seed) {
    Random random(seed), again(seed);
    const std::vector<bool> drawn = random_like(p, removed, random);
    EXPECT_EQ(drawn, random_like(p, removed, again));
    EXPECT_NEAR(p.share_without(drawn), p.share_without(removed), 1e-12);
    size_t n_time_mix = 0;
    for (size_t b = 0; b < 12; ++b) {
      times[b] += drawn[b];
      n_time_mix += drawn[b] && b % 2 == 0;
    }
    EXPECT_EQ(n_time_mix, 3u);
  }
  // Any unit of a kind as often as another: 600 * 3 / 6 and 600 / 6, within five deviations.
  for (size_t b = 0; b < 12; ++b) EXPECT_NEAR(times[b], b % 2 ? 100 : 300, b % 2 ? 46 : 62) << b;
}

}  // namespace
}  // namespace fathom::test::search_test
