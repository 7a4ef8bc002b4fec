// SPDX-License-Identifier: Apache-2.0
// Scores over a fixed curve that is made by hand.
#include "study/sweep_score.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "study/made_up_sweep.h"

namespace fathom::test::sweep_score_test {
namespace {

using testing::ElementsAre;

constexpr size_t kN = 40;  // examples of a split, all of class 1

Outcomes outcomes(size_t n_right, double flops, uint32_t layer) {
  Outcomes o;
  for (size_t i = 0; i < kN; ++i) {
    o.answer.push_back(i < n_right ? 1 : 0);
    o.flops.push_back(flops);
    o.layer.push_back(layer);
  }
  return o;
}

// Layers 1 .. 4 cost 1 .. 4 and are right 10, 20, 30, 40 times of 40; on calibration rows layer 3
// leads with 40, the others are as on the evaluated rows.
class HandMadeCurve : public testing::Test {
 protected:
  HandMadeCurve() {
    for (size_t l = 0; l <= 4; ++l) {
      const auto layer = static_cast<uint32_t>(l);
      const auto cost = static_cast<double>(l);
      layers_.push_back({.setting = "layer",
                         .calibration = outcomes(l == 3   ? 40
                                                 : l == 4 ? 38
                                                          : 10 * l,
                                                 cost, layer),
                         .evaluated = outcomes(10 * l, cost, layer)});
    }
  }
  static MethodPoint point(size_t n_calibration, size_t n_right, double flops) {
    return {.setting = "made up",
            .calibration = outcomes(n_calibration, flops, 2),
            .evaluated = outcomes(n_right, flops, 2)};
  }
  MethodScore score(const Method& method, uint64_t seed = 1) {
    return SweepScorer(task_, layers_, {.n_resample = 200, .seed = seed}).score(method);
  }

  MadeUpSweep sweep_ = MadeUpSweep::all_right(4, kN);
  SweepTask task_ = sweep_.task();
  std::vector<MethodPoint> layers_;
};

TEST(Interpolate, IsLinearAndConstantBeyondTheEnds) {
  const std::vector<double> x = {1, 2, 4}, y = {10, 20, 0};
  EXPECT_EQ(interpolate(x, y, 0), 10);
  EXPECT_EQ(interpolate(x, y, 1.5), 15);
  EXPECT_EQ(interpolate(x, y, 2), 20);
  EXPECT_EQ(interpolate(x, y, 3), 10);
  EXPECT_EQ(interpolate(x, y, 9), 0);
  EXPECT_EQ(interpolate(std::vector<double>{1, 1}, std::vector<double>{3, 5}, 1), 3);
}

TEST(EvenQuality, IsTheMeanAtEvenCosts) {
  // The lines have 1, 2, 3 at costs 1, 2, 3 and stay there: at 1, 2.5 and 4 that is 1, 2.5, 3.
  EXPECT_DOUBLE_EQ(even_quality({{3, 3}, {1, 1}, {2, 2}}, 1, 4, 3), (1 + 2.5 + 3) / 3);
  EXPECT_DOUBLE_EQ(even_quality({{2, 7}}, 1, 4, 5), 7);
}

// At costs 1, 2, 3, 4 the curve has 10, 20, 30, 40 of 40. Points at 2 and 3 with 30 and 40, joined
// with layers 1 and 4: 10, 30, 40, 40. Where the points stand more densely makes no difference.
TEST_F(HandMadeCurve, ScoreIsTheMeanHeightAtEvenCosts) {
  const auto at_four = [&](std::vector<MethodPoint> points) {
    return SweepScorer(task_, layers_, {.n_resample = 200, .seed = 1}, 4)
        .score({.name = "exit:made-up", .points = std::move(points)});
  };
  const MethodScore s = at_four({point(0, 40, 3), point(0, 30, 2)});
  EXPECT_DOUBLE_EQ(s.elue.value, (0 + 10 + 10 + 0) / 160.0);
  EXPECT_DOUBLE_EQ(at_four({point(0, 40, 3), point(0, 36, 2.6), point(0, 30, 2)}).elue.value,
                   s.elue.value)
      << "more points, the same costs";
  EXPECT_NEAR(at_four({point(0, 40, 4), point(0, 10, 1)}).elue.value, 0, 1e-12)
      << "the curve itself";
}

TEST_F(HandMadeCurve, OnePointIsJudgedAtItsCost) {
  // At 2.5 the curve has 25 / 40; below 1 it stays at 10 / 40.
  const MethodScore s = score({.name = "mask:made-up", .points = {point(0, 40, 2.5)}});
  ASSERT_EQ(s.points.size(), 1u);
  EXPECT_DOUBLE_EQ(s.points[0].above_curve, 1 - 25.0 / 40);
  EXPECT_DOUBLE_EQ(s.elue.value, 1 - 25.0 / 40);
  EXPECT_DOUBLE_EQ(score({.name = "m", .points = {point(0, 20, 0.5)}}).elue.value,
                   20.0 / 40 - 10.0 / 40);
  EXPECT_LT(s.elue.low, s.elue.value);
  EXPECT_GT(s.elue.high, s.elue.value);
  EXPECT_GT(s.elue.low, 0);
  EXPECT_DOUBLE_EQ(s.points[0].share, 2.5 / 4);
  EXPECT_THAT(s.points[0].n_exit, ElementsAre(0, 0, kN, 0, 0));
  EXPECT_EQ(s.points[0].score.low, 1) << "right in every resample";
}

TEST_F(HandMadeCurve, FixedDepthScoresNothingOverItself) {
  const MethodScore s = score(fixed_method(layers_));
  EXPECT_EQ(s.elue.value, 0);
  EXPECT_EQ(s.elue.low, 0);
  EXPECT_EQ(s.elue.high, 0);
}

TEST_F(HandMadeCurve, IntervalsAreRepeatable) {
  const Method method{.name = "m", .points = {point(0, 30, 2)}};
  EXPECT_EQ(score(method).elue_replicates, score(method).elue_replicates);
  EXPECT_NE(score(method).elue_replicates, score(method, 2).elue_replicates);
}

TEST_F(HandMadeCurve, SpeedUpsAreChosenOnTrainingRows) {
  // The cheap one only looks good here, the other only there.
  const MethodScore s =
      score({.name = "m", .points = {point(10, 40, 1), point(40, 32, 2), point(40, 36, 2.5)}});
  EXPECT_EQ(s.best_layer, 3u);
  ASSERT_TRUE(s.speed_up_full && s.speed_up_best && s.on_split_full && s.on_split_best);
  EXPECT_EQ(s.speed_up_full->point, 1u);
  EXPECT_DOUBLE_EQ(s.speed_up_full->factor.value, 2);
  EXPECT_DOUBLE_EQ(s.speed_up_full->relative_loss.value, 0.2);
  EXPECT_DOUBLE_EQ(s.speed_up_full->difference.value, -0.2);
  EXPECT_DOUBLE_EQ(s.speed_up_best->factor.value, 1.5);
  EXPECT_LT(s.speed_up_best->relative_loss.value, 0) << "32 against 30";
  EXPECT_EQ(s.on_split_full->point, 0u);
  EXPECT_DOUBLE_EQ(s.on_split_full->factor.value, 4);
}

TEST_F(HandMadeCurve, AtTheCostOfTheBestFixedLayer) {
  const MethodScore s =
      score({.name = "m", .points = {point(30, 40, 1), point(36, 33, 3), point(40, 40, 3.5)}});
  ASSERT_TRUE(s.same_cost);
  EXPECT_EQ(s.same_cost->point, 1u) << "the best of those that cost no more than layer 3";
  EXPECT_DOUBLE_EQ(s.same_cost->difference.value, 3.0 / 40);
  EXPECT_DOUBLE_EQ(s.same_cost->factor.value, 1);
  EXPECT_FALSE(score({.name = "m", .points = {point(40, 40, 3.5)}}).same_cost);
}

TEST_F(HandMadeCurve, NoNumberOfTimesFewerFlopsWhereNoBlockRuns) {
  MethodPoint none = point(40, 40, 1e-5);
  for (Outcomes* o : {&none.calibration, &none.evaluated}) o->layer.assign(kN, 0);
  const MethodScore s = score({.name = "embedding", .points = {none}});
  ASSERT_TRUE(s.speed_up_full);
  EXPECT_TRUE(std::isnan(s.speed_up_full->factor.value));
  EXPECT_EQ(s.speed_up_full->relative_loss.value, 0);
}

TEST_F(HandMadeCurve, WithoutAPointThatKeepsTheQualityThereIsNoSpeedUp) {
  const MethodScore s = score({.name = "m", .points = {point(10, 10, 1)}});
  EXPECT_FALSE(s.speed_up_full || s.speed_up_best || s.on_split_full || s.on_split_best);
}

TEST(MacroScore, IsTheMeanOverTasks) {
  const std::vector<std::vector<double>> replicates = {{1, 2, 3}, {3, 2, 1}};
  const Estimate e = macro_score(std::vector<double>{0.2, 0.4}, replicates);
  EXPECT_DOUBLE_EQ(e.value, 0.3);
  EXPECT_DOUBLE_EQ(e.low, 2);
  EXPECT_DOUBLE_EQ(e.high, 2);
}

TEST(ScoreStatistic, AgreesWithTheMetricAndIsZeroWhereThereIsNone) {
  const std::vector<double> answer = {1, 0, 1, 1, 0, 1}, gold = {1, 1, 0, 1, 0, 1};
  for (TaskMetric metric : {TaskMetric::kAccuracy, TaskMetric::kF1, TaskMetric::kMatthews,
                            TaskMetric::kPearson, TaskMetric::kSpearman}) {
    const Statistic statistic = score_statistic(metric, answer, gold);
    EXPECT_NEAR(statistic({}), score_of(metric, answer, gold), 1e-12);
    // The same rows three times over.
    const std::vector<uint32_t> thrice(6, 3);
    if (metric != TaskMetric::kAccuracy) {
      EXPECT_NEAR(statistic(thrice), score_of(metric, answer, gold), 1e-12);
    }
  }
  const std::vector<double> same = {1, 1, 1, 1, 1, 1};
  EXPECT_EQ(score_statistic(TaskMetric::kSpearman, same, gold)({}), 0);
  EXPECT_EQ(score_statistic(TaskMetric::kMatthews, same, gold)({}), 0);
}

}  // namespace
}  // namespace fathom::test::sweep_score_test
