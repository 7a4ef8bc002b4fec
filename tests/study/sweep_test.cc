// SPDX-License-Identifier: Apache-2.0
// Methods of a sweep on made-up vectors whose right answers are known.
#include "study/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "study/made_up_sweep.h"

namespace fathom::test::sweep_test {
namespace {

using testing::Each;
using testing::ElementsAre;

double mean_of(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}
double mean_layer(const Outcomes& o) {
  return std::accumulate(o.layer.begin(), o.layer.end(), 0.0) / static_cast<double>(o.layer.size());
}

std::vector<double> alternating(size_t n) {
  std::vector<double> gold;
  for (size_t i = 0; i < n; ++i) gold.push_back(static_cast<double>(i % 2));
  return gold;
}
// Right or wrong about the class i % 2, with this much certainty.
double about(size_t i, bool right, double sure = 1) { return (i % 2 == right ? 1 : -1) * sure; }

// Four layers. Training rows: layer 3 is always right, the others every other time. Evaluated:
// example i is right from layer i + 1 on, but the last one never.
class FourLayers : public testing::Test {
 protected:
  MadeUpSweep sweep_{
      "sst2",          4,
      alternating(40), [](size_t l, size_t i) { return about(i, l == 3 || i % 4 < 2); },
      alternating(5),  [](size_t l, size_t i) { return about(i, i < 4 && l >= i + 1); }};
  SweepTask task_ = sweep_.task();
  std::vector<MethodPoint> layers_ = layer_points(task_);
};

TEST_F(FourLayers, FixedDepthIsLayersOneToL) {
  const Method fixed = fixed_method(layers_), embedding = embedding_method(layers_);
  ASSERT_EQ(fixed.points.size(), 4u);
  EXPECT_EQ(fixed.points[0].setting, "layer 1");
  EXPECT_THAT(fixed.points[0].evaluated.answer, ElementsAre(0, 0, 1, 0, 1));
  EXPECT_THAT(fixed.points[3].evaluated.answer, ElementsAre(0, 1, 0, 1, 1));
  EXPECT_THAT(fixed.points[1].evaluated.layer, Each(2u));
  EXPECT_EQ(fixed.points[0].calibration.answer.size(), 20u);
  ASSERT_EQ(embedding.points.size(), 1u);
  EXPECT_EQ(embedding.points[0].setting, "layer 0");
  // Blocks cost the same each; a head of one number next to nothing.
  const double one = fixed.points[0].evaluated.flops[0];
  EXPECT_LT(embedding.points[0].evaluated.flops[0], 0.001 * one);
  EXPECT_NEAR(fixed.points[3].evaluated.flops[0] / one, 4, 0.001);
}

TEST_F(FourLayers, BestFixedLayerIsChosenOnTrainingRows) {
  EXPECT_EQ(best_layer(task_, layers_, 4), 3u) << "layer 4 is better on the evaluated rows";
  EXPECT_EQ(best_layer(task_, layers_, 2), 1u) << "the first of equal ones";
  const Method best = best_fixed_method(task_, layers_);
  ASSERT_EQ(best.points.size(), 4u) << "one for every budget";
  EXPECT_THAT(best.points[1].evaluated.layer, Each(1u));
  EXPECT_THAT(best.points[2].evaluated.layer, Each(3u));
  EXPECT_THAT(best.points[3].evaluated.layer, Each(3u));
}

TEST_F(FourLayers, OracleLeavesWhereTheAnswerIsRight) {
  const Method oracle = oracle_method(task_, layers_, {});
  ASSERT_EQ(oracle.points.size(), 4u);
  EXPECT_EQ(oracle.points[3].setting, "from layer 1");
  EXPECT_THAT(oracle.points[3].evaluated.layer, ElementsAre(1, 2, 3, 4, 4));
  EXPECT_THAT(oracle.points[1].evaluated.layer, ElementsAre(3, 3, 3, 4, 4));
  EXPECT_THAT(oracle.points[0].evaluated.layer, Each(4u));
  EXPECT_DOUBLE_EQ(leading_score(task_, oracle.points[3].evaluated.answer, alternating(5)), 0.8);
  EXPECT_EQ(oracle.points[3].evaluated.flops[1], layers_[2].evaluated.flops[1]);
}

TEST_F(FourLayers, RandomExitsFallInDepthAndAreRepeatable) {
  const Method random = random_method(task_, layers_, {.n_point = 9}),
               again = random_method(task_, layers_, {.n_point = 9}),
               other = random_method(task_, layers_, {.n_point = 9, .seed = 2});
  ASSERT_EQ(random.points.size(), 9u);
  EXPECT_THAT(random.points.front().evaluated.layer, Each(4u));
  EXPECT_THAT(random.points.back().evaluated.layer, Each(1u));
  bool differs = false;
  for (size_t k = 0; k < 9; ++k) {
    EXPECT_EQ(random.points[k].evaluated.layer, again.points[k].evaluated.layer);
    differs |= random.points[k].evaluated.layer != other.points[k].evaluated.layer;
  }
  EXPECT_TRUE(differs);
}

// Of scores the oracle takes what is as near as the nearest layer, within 5 % of the range of 5.
TEST(Sweep, OracleOfScoresHasATolerance) {
  const double far[] = {9, 2, 0.2, 0.1};  // errors at layers 0 .. 3; 0 at layer 4
  MadeUpSweep sweep(
      "stsb", 4, {1, 2, 3, 4}, [](size_t, size_t) { return 1.0; }, {3, 1},
      [&](size_t l, size_t i) { return (i == 0 ? 3 : 1) + (l < 4 ? far[l] : 0); });
  const SweepTask task = sweep.task();
  const std::vector<MethodPoint> layers = layer_points(task);
  EXPECT_NEAR(layers[2].evaluated.answer[0], 3.2, 1e-6);
  EXPECT_THAT(oracle_method(task, layers, {}).points.back().evaluated.layer, ElementsAre(2, 2));
  EXPECT_THAT(oracle_method(task, layers, {.tolerance = 0.03}).points.back().evaluated.layer,
              ElementsAre(3, 3));
  EXPECT_EQ(leading_score(task, {{1, 1}}, {{1, 2}}), 0) << "a constant correlates with nothing";
}

// Even examples are surely right at once; odd ones are unsure, and wrong before the last layer.
MadeUpSweep easy_and_hard(size_t n_layer) {
  return MadeUpSweep(
      "sst2", n_layer, alternating(200),
      [=](size_t l, size_t i) {
        const bool hard = i % 4 > 1;
        const double noise = 0.01 * static_cast<double>(i % 50);
        return about(i, !hard || l == n_layer, hard && l < n_layer ? 0.1 + noise / 10 : 3 + noise);
      },
      alternating(100),
      [=](size_t l, size_t i) {
        const bool hard = i % 4 > 1;
        return about(i, !hard || l == n_layer, hard && l < n_layer ? 0.12 : 3.2);
      });
}

TEST(Sweep, ExitsBeatTheSameExitsDealtByChance) {
  MadeUpSweep sweep = easy_and_hard(4);
  const SweepTask task = sweep.task();
  const Method exits = exit_method(task, Measure::kMaxProbability, {});
  ASSERT_GE(exits.points.size(), 8u);
  EXPECT_LE(exits.points.size(), 12u);
  EXPECT_THAT(exits.points.front().evaluated.layer, Each(4u)) << "the safest never leaves";
  EXPECT_THAT(exits.points.back().evaluated.layer, Each(1u)) << "the boldest always does";
  const auto score = [&](const MethodPoint& p) {
    return leading_score(task, p.evaluated.answer, task.evaluated.gold);
  };
  const auto split = std::ranges::find_if(
      exits.points, [](const MethodPoint& p) { return mean_layer(p.evaluated) == 2.5; });
  ASSERT_NE(split, exits.points.end()) << "easy ones at layer 1, hard ones at layer 4";
  EXPECT_EQ(score(*split), 1);
  EXPECT_NEAR(split->shuffled_score, 0.75, 0.05) << "half of the hard ones leave too early";
  EXPECT_EQ(exits.points.front().shuffled_score, score(exits.points.front()));
  for (size_t k = 1; k < exits.points.size(); ++k)
    EXPECT_LE(mean_of(exits.points[k].calibration.flops),
              mean_of(exits.points[k - 1].calibration.flops));
  // (calibration + evaluated, grid), consistent with full depth at the safest point.
  ASSERT_EQ(exits.losses.size(), (100 + 100) * exits.n_grid);
  EXPECT_EQ(exits.losses[0], 0);
  size_t n = 0;
  for (const ReliabilityBin& bin : exits.reliability)
    if (bin.layer == 1) n += bin.n;
  EXPECT_EQ(n, 100u) << "every example is in one bin of every layer";
}

TEST(Sweep, EveryMeasureHasEightPointsWhereThereAreLayersForThem) {
  MadeUpSweep deep = easy_and_hard(12), shallow = easy_and_hard(3);
  const SweepTask task = deep.task();
  for (Measure measure : kMeasures) {
    if (!fits_task(measure, task.task) || measure == Measure::kFpabee ||
        measure == Measure::kSaturation)
      continue;  // a vector of one number neither turns nor moves between layers
    EXPECT_GE(exit_method(task, measure, {}).points.size(), 8u) << name_of(measure);
  }
  const Method patience = exit_method(task, Measure::kPatience, {});
  EXPECT_EQ(patience.points.size(), 12u);
  EXPECT_EQ(patience.points.back().setting, "streak 1");
  EXPECT_EQ(exit_method(shallow.task(), Measure::kPatience, {}).points.size(), 3u);
}

// --streak of a sweep is of the measures that are published as several exits in a row.
TEST(Sweep, AStreakIsOfMeasuresThatAreSweptInARow) {
  MadeUpSweep sweep = easy_and_hard(4);
  const SweepTask task = sweep.task();
  for (Measure measure : {Measure::kPcee, Measure::kFpabee})
    EXPECT_EQ(exit_method(task, measure, {.streak = 3}).rule.streak, 3u) << name_of(measure);
  for (Measure measure : {Measure::kEntropy, Measure::kMargin})
    EXPECT_EQ(exit_method(task, measure, {.streak = 3}).rule.streak, 1u) << name_of(measure);
}

TEST(Sweep, MeasuresFitTasks) {
  EXPECT_TRUE(fits_task(Measure::kEntropy, find_task("mrpc")));
  EXPECT_FALSE(fits_task(Measure::kEntropy, find_task("stsb")));
  EXPECT_TRUE(fits_task(Measure::kScore, find_task("stsb")));
  EXPECT_FALSE(fits_task(Measure::kScore, find_task("cola")));
  EXPECT_TRUE(fits_task(Measure::kPatience, find_task("stsb")));
}

}  // namespace
}  // namespace fathom::test::sweep_test
