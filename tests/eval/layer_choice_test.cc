// SPDX-License-Identifier: Apache-2.0
// The best layer and the shallowest that is not worse; class metrics of resamples.
#include "eval/layer_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "eval/class_metric.h"
#include "eval/metrics.h"

namespace fathom::test::layer_choice_test {
namespace {

// Replicates around a value, spread evenly by +-spread, the same resamples for all layers but for a
// part of their own.
std::vector<double> around(double value, double spread, double own, uint64_t seed) {
  Random random(seed);
  std::vector<double> out;
  for (size_t r = 0; r < 2000; ++r) {
    const double shared = (static_cast<double>(r) / 1999 - 0.5) * 2 * spread;
    out.push_back(value + shared + own * (static_cast<double>(random.below(2001)) / 1000 - 1));
  }
  return out;
}

TEST(LayerChoice, TheShallowestWhoseDifferenceReachesZero) {
  // Layer 0 is far below, layer 1 within the noise of its own, layer 2 the best.
  const std::vector<double> value = {0.3, 0.695, 0.70, 0.60};
  const std::vector<std::vector<double>> replicates = {
      around(0.3, 0.1, 0.01, 1), around(0.695, 0.1, 0.01, 2), around(0.70, 0.1, 0.01, 3),
      around(0.60, 0.1, 0.01, 4)};
  const auto choice = choose_layer(value, replicates);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->best, 2u);
  EXPECT_EQ(choice->shallowest, 1u);
  EXPECT_EQ(choice->n_compared, 2u);
  EXPECT_DOUBLE_EQ(choice->level, 1 - 0.05 / 2);
}

TEST(LayerChoice, ADifferenceThatIsPairedCountsThoughIntervalsOverlap) {
  const std::vector<double> value = {0.65, 0.70};
  // Apart by 0.05 in every resample, both within +-0.1.
  const auto choice = choose_layer(
      value, std::vector<std::vector<double>>{around(0.65, 0.1, 0, 1), around(0.70, 0.1, 0, 1)});
  EXPECT_EQ(choice->shallowest, 1u);
}

TEST(LayerChoice, TheFirstOfEqualsAndNothingWithoutFigures) {
  const std::vector<std::vector<double>> two = {around(0.5, 0.1, 0, 1), around(0.5, 0.1, 0, 1)};
  EXPECT_EQ(choose_layer(std::vector{0.5, 0.5}, two)->best, 0u);
  EXPECT_EQ(choose_layer(std::vector{std::nan(""), 0.5}, two)->best, 1u);
  EXPECT_EQ(choose_layer(std::vector{std::nan(""), 0.5}, two)->shallowest, 1u);
  EXPECT_FALSE(choose_layer(std::vector{std::nan(""), std::nan("")}, two));
}

TEST(ClassMetric, IsThatOfTheSampleWrittenOut) {
  const std::vector<double> truth = {0, 1, 1, 0, 2, 2, 1}, answers = {0, 1, 0, 1, 2, 0, 1};
  const std::vector<uint32_t> times = {1, 2, 0, 3, 1, 1, 1};
  std::vector<int> t, p;
  for (size_t i = 0; i < truth.size(); ++i)
    for (uint32_t n = 0; n < times[i]; ++n) {
      t.push_back(static_cast<int>(truth[i]));
      p.push_back(static_cast<int>(answers[i]));
    }
  const MulticlassMetrics all = multiclass_metrics(t, p);
  EXPECT_DOUBLE_EQ(class_metric(TaskMetric::kAccuracy, truth, answers, 3, times), all.accuracy);
  EXPECT_NEAR(class_metric(TaskMetric::kMatthews, truth, answers, 3, times), all.mcc, 1e-12);
  EXPECT_DOUBLE_EQ(class_metric(TaskMetric::kF1, truth, answers, 3, times), f1(count_binary(t, p)));
  EXPECT_DOUBLE_EQ(class_metric(TaskMetric::kAccuracy, truth, answers, 3), 4.0 / 7);
  EXPECT_TRUE(std::isnan(class_metric(TaskMetric::kAccuracy, {}, {}, 2)));
}

}  // namespace
}  // namespace fathom::test::layer_choice_test
