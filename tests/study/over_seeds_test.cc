// SPDX-License-Identifier: Apache-2.0
// Figures over seeds, from made-up seeds.
#include "study/over_seeds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace fathom::test::over_seeds_test {
namespace {

using testing::ElementsAre;

constexpr size_t kResamples = 2000;

// The same on every resample.
Sampled always(double value) { return {value, std::vector<double>(kResamples, value)}; }
// Even from value - spread to value + spread over the resamples.
Sampled spread(double value, double by) {
  Sampled s{value, {}};
  for (size_t r = 0; r < kResamples; ++r)
    s.replicates.push_back(value + by * (2.0 * static_cast<double>(r) / (kResamples - 1) - 1));
  return s;
}

SeedMean mean(const std::vector<Sampled>& seeds, bool logs = false) {
  std::vector<const Sampled*> all;
  for (const Sampled& s : seeds) all.push_back(&s);
  return seed_mean(all, 1, logs);
}

TEST(SeedMean, OfOneSeedIsTheIntervalOfItsExamples) {
  const SeedMean m = mean({spread(0.5, 0.1)});
  EXPECT_DOUBLE_EQ(m.mean.value, 0.5);
  EXPECT_NEAR(m.mean.low, 0.405, 1e-3);
  EXPECT_NEAR(m.mean.high, 0.595, 1e-3);
  EXPECT_THAT(m.by_seed, ElementsAre(0.5));
}

TEST(SeedMean, IntervalHoldsTheSeedsToo) {
  // Examples say nothing here; of two seeds drawn from two the mean is 0, 1 or 2 by 1 : 2 : 1.
  const SeedMean seeds = mean({always(0), always(2)});
  EXPECT_DOUBLE_EQ(seeds.mean.value, 1);
  EXPECT_EQ(seeds.mean.low, 0);
  EXPECT_EQ(seeds.mean.high, 2);
  EXPECT_THAT(seeds.by_seed, ElementsAre(0, 2));
  // And where seeds agree it is that of the examples, which are the same in all of them.
  const SeedMean examples = mean({spread(0.5, 0.1), spread(0.5, 0.1), spread(0.5, 0.1)});
  EXPECT_NEAR(examples.mean.low, 0.405, 1e-3);
}

TEST(SeedMean, OfLogarithmsIsGeometric) {
  const SeedMean m = mean({always(std::log(2)), always(std::log(8))}, true);
  EXPECT_NEAR(m.mean.value, 4, 1e-12);
  EXPECT_NEAR(m.mean.high, 8, 1e-12);
  EXPECT_NEAR(m.by_seed[1], 8, 1e-12);
}

TEST(SeedMean, RefusesReplicatesOfAnotherNumber) {
  EXPECT_THROW(mean({always(1), {1, {1, 1}}}), Error);
}

// Plain fixed depth and one with all rows; exits by two measures and two kinds of heads.
SeedFigures seed(uint64_t number, double plain, double strong, double margin, double entropy,
                 double margin_on_calibration) {
  SeedFigures s{.seed = number};
  s.fixed = {{"layer", false, false, always(plain)}, {"layer", true, false, always(strong)}};
  s.exits = {{"layer", "margin", margin_on_calibration, always(margin)},
             {"layer", "entropy", 0.6, always(entropy)},
             {"first+layer", "margin", 0.65, always(0.9)}};
  s.kept = {{.share = 0.99,
             .by = "exits",
             .setting = "margin",
             .log_factor = always(std::log(2)),
             .loss = always(0.01),
             .loss_all_rows = always(0.03)}};
  s.calibration_error = {0.1 * static_cast<double>(number)};
  s.depth = {
      {.by = "oracle", .group = "layer 1", .n = 4, .depth = 2, .oracle_depth = 1, .right = 1}};
  return s;
}

TEST(OverSeeds, ChoosesInEverySeedAndComparesWithEveryBaseline) {
  // The measure is chosen by calibration rows: margin in the first seed, entropy in the second,
  // whatever they have on the evaluated split.
  std::vector<SeedFigures> seeds = {seed(1, 0.50, 0.55, 0.57, 0.80, 0.7),
                                    seed(2, 0.52, 0.61, 0.80, 0.59, 0.5)};
  seeds[1].depth[0].depth = 3;
  seeds[1].depth.push_back(
      {.by = "oracle", .group = "never right", .n = 2, .depth = 5, .oracle_depth = 12, .right = 0});
  const OverSeeds o = over_seeds(seeds, 1);
  EXPECT_THAT(o.seeds, ElementsAre(1u, 2u));
  EXPECT_EQ(o.strongest, "layer, all rows");
  ASSERT_EQ(o.exits.size(), 3u);
  EXPECT_EQ(o.exits[0].name, "layer");
  EXPECT_THAT(o.exits[0].chosen, ElementsAre("margin", "entropy"));
  EXPECT_EQ(o.exits[1].name, "first+layer");
  EXPECT_EQ(o.exits[2].name, kBestExits);
  EXPECT_THAT(o.exits[2].chosen, ElementsAre("layer: margin", "first+layer: margin"));
  const Gain *plain = o.gain("layer", "layer"), *strong = o.gain("layer", "layer, all rows");
  ASSERT_TRUE(plain && strong);
  EXPECT_NEAR(plain->gain.mean.value, 0.07, 1e-12);
  EXPECT_NEAR(strong->gain.by_seed[0], 0.02, 1e-12);
  EXPECT_NEAR(strong->gain.by_seed[1], -0.02, 1e-12);
  EXPECT_NEAR(strong->gain.mean.low, -0.02, 1e-12);
  EXPECT_NEAR(strong->gain.mean.high, 0.02, 1e-12);
  EXPECT_EQ(o.gain("layer", "mean"), nullptr);
  ASSERT_EQ(o.measures.size(), 2u) << "of plain heads";
  EXPECT_NEAR(o.measures[0].gain.mean.value, (0.07 + 0.28) / 2, 1e-12);
  EXPECT_NEAR(o.kept[0].factor.mean.value, 2, 1e-12);
  EXPECT_NEAR(o.kept[0].loss_all_rows.mean.value, 0.03, 1e-12);
  EXPECT_NEAR(o.calibration_error[0].mean, 0.15, 1e-12);
  EXPECT_NEAR(o.calibration_error[0].largest, 0.2, 1e-12);
  ASSERT_EQ(o.depth.size(), 2u);
  EXPECT_EQ(o.depth[0].depth, 2.5);
  EXPECT_EQ(o.depth[1].group, "never right");
  EXPECT_EQ(o.depth[1].n, 1) << "none in the first seed";
  EXPECT_EQ(o.depth[1].depth, 5) << "of the seeds that have it";
}

TEST(OverSeeds, RefusesSeedsWithOtherCurves) {
  std::vector<SeedFigures> seeds = {seed(1, 0, 0, 0, 0, 0), seed(2, 0, 0, 0, 0, 0)};
  seeds[1].fixed.pop_back();
  EXPECT_THROW(over_seeds(seeds, 1), Error);
}

TEST(MovedThresholds, AreLookedUpOnTheOtherTask) {
  const ThresholdCurve a{"margin", 0.5, 0.8, {0.2, 0.6, 2}, {0.3, 0.5, 1}, {0.6, 0.7, 0.8}},
      b{"margin", 0.9, 0.5, {0.4, 0.6, 2}, {0.2, 0.4, 1}, {0.4, 0.5, 0.5}},
      other{"pcee", 0.5, 1, {0.5}, {1}, {1}};
  const std::vector<TaskThresholds> tasks = {{"trec", {{a, other}, {a}}}, {"sst2", {{b}, {b}}}};
  const std::vector<MovedThreshold> all = moved_thresholds(tasks);
  ASSERT_EQ(all.size(), 4u) << "pcee is not in every seed";
  EXPECT_EQ(all[1].from, "trec");
  EXPECT_EQ(all[1].to, "sst2");
  EXPECT_NEAR(all[1].share, 0.3, 1e-12) << "halfway between 0.4 and 0.6";
  EXPECT_NEAR(all[1].loss, 0.1, 1e-12) << "0.45 of 0.5";
  EXPECT_NEAR(all[2].share, 0.5 + 0.5 * 0.3 / 1.4, 1e-12);
}

}  // namespace
}  // namespace fathom::test::over_seeds_test
