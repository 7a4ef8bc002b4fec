// SPDX-License-Identifier: Apache-2.0
// Weights between two kinds of rows whose ratio is known, and what bounds are worth under them.
#include "study/density_ratio.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/error_of.h"
#include "base/random.h"
#include "probe/calibrate.h"
#include "study/made_up_sweep.h"

namespace fathom::test::density_ratio_test {
namespace {

using testing::HasSubstr;

double unit(Random& random) {
  return (static_cast<double>(random.below(1u << 30)) + 0.5) / (1u << 30);
}

// (n, 2): a normal number around `mean`, and one that tells nothing.
std::vector<float> normals(size_t n, double mean, uint64_t seed) {
  Random random(seed);
  std::vector<float> x;
  for (size_t i = 0; i < 2 * n; ++i) {
    const double z =
        std::sqrt(-2 * std::log(unit(random))) * std::cos(2 * std::numbers::pi * unit(random));
    x.push_back(static_cast<float>(i % 2 == 0 ? mean + z : z));
  }
  return x;
}

Matrix<const float> rows_of(const std::vector<float>& x) { return {x.data(), x.size() / 2, 2}; }

// Normal numbers around 0 and around m have the ratio exp(m x - m^2 / 2).
TEST(DensityRatio, IsThatOfTwoNormalDistributions) {
  const std::vector<float> here = normals(8000, 0, 1), there = normals(4000, 0.7, 2);
  const DensityRatio ratio = estimate_ratio(rows_of(here), rows_of(there), 1);
  double error = 0;
  for (size_t i = 0; i < 8000; ++i)
    error += std::abs(ratio.weight[i] - std::exp(0.7 * here[2 * i] - 0.245)) / 8000;
  EXPECT_LT(error, 0.06);
  EXPECT_LT(ratio.beyond, 1e-3);
  // E[w]^2 / E[w^2] = exp(-m^2).
  EXPECT_NEAR(ratio.effective / 8000, std::exp(-0.49), 0.05);
  const MatchedRows matched = reject_rows(ratio, 3);
  std::vector<double> kept, wanted;
  for (size_t row : matched.rows) kept.push_back(here[2 * row]);
  for (size_t i = 0; i < 4000; ++i) wanted.push_back(there[2 * i]);
  EXPECT_GT(kolmogorov_smirnov(kept, wanted).p, 0.01);
  EXPECT_EQ(reject_rows(ratio, 3).rows, matched.rows);
}

TEST(DensityRatio, RowsThatAreAlikeKeepTheirWeight) {
  const std::vector<float> here = normals(2000, 0, 5), there = normals(2000, 0, 6);
  const DensityRatio ratio = estimate_ratio(rows_of(here), rows_of(there), 1);
  EXPECT_GT(ratio.effective, 1950);
  EXPECT_LT(ratio.largest, 1.5);
}

TEST(DensityRatio, RefusesByName) {
  const std::vector<float> here = normals(500, 0, 1), far = normals(500, 6, 2),
                           few = normals(60, 0, 3), other = normals(500, 1.2, 4),
                           none = normals(10, 0, 5);
  EXPECT_THAT(error_of([&] { estimate_ratio(rows_of(here), rows_of(far), 1); }),
              HasSubstr("density ratio: it has no bound"));
  EXPECT_THAT(error_of([&] { estimate_ratio(rows_of(few), rows_of(other), 1); }),
              HasSubstr("60 calibration rows tell as much as"));
  EXPECT_THAT(error_of([&] { estimate_ratio(rows_of(here), rows_of(none), 1); }),
              HasSubstr("expected at least 20"));
}

// Rows to come are where losses are. A bound from the calibration rows as they are is wrong nearly
// always, one from the rows that were drawn again about as seldom as it says.
TEST(DensityRatio, BoundsHoldForTheRowsToCome) {
  constexpr size_t kTrials = 100;
  constexpr double kShift = 0.8, kEpsilon = 0.1;
  const auto chance = [](double x) { return 0.3 / (1 + std::exp(-2 * x)); };  // of a loss
  double truth = 0;
  for (int i = -800; i < 800; ++i)  // over the normal distribution around kShift
    truth += 0.01 * std::exp(-0.5 * (0.01 * i) * (0.01 * i)) / std::sqrt(2 * std::numbers::pi) *
             chance(kShift + 0.01 * i);
  size_t broken = 0, broken_as_they_are = 0;
  for (uint64_t trial = 0; trial < kTrials; ++trial) {
    const std::vector<float> here = normals(1500, 0, 10 * trial),
                             there = normals(1000, kShift, 10 * trial + 1);
    Random random(10 * trial + 2);
    std::vector<double> loss;
    for (size_t i = 0; i < 1500; ++i) loss.push_back(unit(random) < chance(here[2 * i]) ? 1 : 0);
    const DensityRatio ratio = estimate_ratio(rows_of(here), rows_of(there), trial);
    const MatchedRows matched = reject_rows(ratio, trial);
    double kept = 0, all = 0;
    for (size_t row : matched.rows) kept += loss[row];
    for (double x : loss) all += x;
    const double bound =
        upper_bound(PValue::kBinomial, kept, matched.rows.size(), kEpsilon) + matched.beyond;
    broken += truth > bound;
    broken_as_they_are += truth > upper_bound(PValue::kBinomial, all, loss.size(), kEpsilon);
  }
  EXPECT_GT(broken_as_they_are, 95u);
  EXPECT_LE(broken, 18u);  // the 99 % quantile of 100 trials at 0.1
}

TEST(MatchShift, DrawsByConfidence) {
  // Lengths are equal; of the rows to come more are unsure.
  std::vector<double> train(2000, 1.0), gold(600, 1.0);
  MadeUpSweep made(
      "sst2", 2, train,
      [](size_t, size_t i) { return 0.5 + 0.01 * static_cast<double>(i * 37 % 200); }, gold,
      [](size_t, size_t i) {
        const double u = static_cast<double>(i * 37 % 200) / 200;
        return 0.5 + 2 * u * std::sqrt(u);
      });
  const SweepTask task = made.task();
  EXPECT_TRUE(shift_of(task).warns());
  const MatchedRows matched = match_shift(task, 1);
  EXPECT_GT(matched.effective, 100);
  EXPECT_LT(matched.rows.size(), 1000u);
  const ShiftTest after = shift_of(task, matched.rows);
  EXPECT_FALSE(after.warns()) << after.confidence.p;
  EXPECT_LT(shift_of(task).confidence.p, after.confidence.p);
}

}  // namespace
}  // namespace fathom::test::density_ratio_test
