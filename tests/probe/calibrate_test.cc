// SPDX-License-Identifier: Apache-2.0
#include "probe/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "probe/random_data.h"

namespace fathom::test::calibrate_test {
namespace {

using testing::ElementsAre;

// Losses of `n` examples at each threshold: the first count[j] of them are 1.
struct Losses {
  std::vector<float> values;
  size_t n, m;
  Losses(size_t n_example, const std::vector<size_t>& count)
      : values(n_example * count.size()), n(n_example), m(count.size()) {
    for (size_t j = 0; j < m; ++j)
      for (size_t i = 0; i < count[j]; ++i) values[i * m + j] = 1;
  }
  Matrix<const float> view() const { return {values.data(), n, m}; }
};

TEST(Binomial, AgreesWithScipy) {
  EXPECT_NEAR(binomial_cdf(3, 408, 0.02), 0.03669, 5e-6);
  EXPECT_NEAR(binomial_cdf(0, 10, 0.5), 1.0 / 1024, 1e-15);
  EXPECT_NEAR(binomial_cdf(300, 1000, 0.29), 0.768524, 5e-7);
  EXPECT_NEAR(binomial_cdf(9, 10, 0.99), 0.095618, 5e-7);
  EXPECT_NEAR(binomial_cdf(20000, 400000, 0.05), 0.501881, 5e-7);
  EXPECT_EQ(binomial_cdf(10, 10, 0.3), 1);
  EXPECT_EQ(binomial_cdf(3, 10, 0), 1);
  EXPECT_EQ(binomial_cdf(3, 10, 1), 0);
}

// "What n buys" (docs/methods.md), epsilon = 0.05.
TEST(LearnThenTest, AllowsAsManyDifferencesAsTheExactTest) {
  const auto allowed = [](size_t n, double delta) { return allowed_differences(n, delta, 0.05); };
  EXPECT_EQ(allowed(408, 0.02), 3u);
  EXPECT_EQ(allowed(408, 0.05), 12u);
  EXPECT_EQ(allowed(408, 0.10), 30u);
  EXPECT_EQ(allowed(1000, 0.01), 4u);
  EXPECT_EQ(allowed(1000, 0.02), 12u);
  EXPECT_EQ(allowed(1000, 0.05), 38u);
  EXPECT_EQ(allowed(3668, 0.01), 26u);
  EXPECT_EQ(allowed(3668, 0.02), 59u);
  EXPECT_EQ(allowed(3668, 0.05), 161u);
  EXPECT_EQ(allowed(20, 0.05), std::nullopt) << "0.95^20 = 0.36";
  EXPECT_EQ(allowed(0, 0.05), std::nullopt);
}

// ceil(ln epsilon / ln(1 - delta)), and the test itself agrees.
TEST(Resolution, SaysHowManyRowsCertifyWhatLoss) {
  EXPECT_EQ(rows_needed(0.01, 0.05), 299u);
  EXPECT_EQ(rows_needed(0.01, 0.05 / 11), 537u);
  EXPECT_EQ(rows_needed(0.01, 0.1 / 11), 468u);
  for (double delta : {0.5, 0.1, 0.013, 0.001})
    for (double epsilon : {0.3, 0.05, 0.004}) {
      const size_t n = rows_needed(delta, epsilon);
      EXPECT_TRUE(allowed_differences(n, delta, epsilon));
      EXPECT_FALSE(allowed_differences(n - 1, delta, epsilon));
      EXPECT_LE(smallest_certified(n, epsilon), delta * (1 + 1e-12));
      EXPECT_GT(smallest_certified(n - 1, epsilon), delta);
    }
  EXPECT_NEAR(smallest_certified(300, 0.05), 0.00993608, 1e-8);
  EXPECT_EQ(smallest_certified(0, 0.05), 1);
}

TEST(Resolution, UpperBoundsAreClopperAndPearsons) {
  EXPECT_NEAR(upper_bound(PValue::kBinomial, 3, 100, 0.05), 0.07571079, 1e-8);
  EXPECT_NEAR(upper_bound(PValue::kBinomial, 0, 300, 0.05), 0.00993608, 1e-8);
  EXPECT_EQ(upper_bound(PValue::kBinomial, 0, 0, 0.05), 1);
  const double hb = upper_bound(PValue::kHoeffdingBentkus, 12.3, 408, 0.05);
  EXPECT_LE(p_value(PValue::kHoeffdingBentkus, 12.3, 408, hb), 0.05);
  EXPECT_GT(p_value(PValue::kHoeffdingBentkus, 12.3, 408, hb - 1e-6), 0.05);
}

TEST(LearnThenTest, HoeffdingBentkusAgreesWithItsFormula) {
  EXPECT_NEAR(p_value(PValue::kHoeffdingBentkus, 12.3, 408, 0.05), 0.140424, 1e-6);
  EXPECT_NEAR(p_value(PValue::kHoeffdingBentkus, 0, 100, 0.02), 0.13262, 1e-6);
  EXPECT_NEAR(p_value(PValue::kHoeffdingBentkus, 3, 408, 0.02), 0.099734, 1e-6);
  EXPECT_EQ(p_value(PValue::kHoeffdingBentkus, 30, 408, 0.05), 1);
  EXPECT_THROW(p_value(PValue::kBinomial, 1, 10, 0), Error);
  EXPECT_THROW(p_value(PValue::kBinomial, 1, 10, 1), Error);
}

TEST(LearnThenTest, StopsAtTheFirstThresholdThatFails) {
  const auto ltt = [](const std::vector<size_t>& count, PValue kind = PValue::kBinomial) {
    return learn_then_test(Losses(408, count).view(), 0.05, 0.05, kind);
  };
  EXPECT_EQ(ltt({0, 5, 12, 13, 40}), 2u);
  EXPECT_EQ(ltt({0, 13, 5}), 0u) << "what comes after the first failure is not tested";
  EXPECT_EQ(ltt({13, 0}), std::nullopt);
  EXPECT_EQ(ltt({0, 1, 2}), 2u);
  const std::optional<size_t> hb = ltt({0, 5, 10, 12}, PValue::kHoeffdingBentkus);
  ASSERT_TRUE(hb);
  EXPECT_LT(*hb, 3u) << "for losses of 0 and 1 the exact test is sharper";
}

TEST(RiskControl, BoundsTheExpectation) {
  // n = 99: (sum + 1) / 100 <= 0.05.
  EXPECT_EQ(conformal_risk_control(Losses(99, {0, 4, 5}).view(), 0.05), 1u);
  EXPECT_EQ(conformal_risk_control(Losses(99, {5}).view(), 0.05), std::nullopt);
  // Example 0 errs at threshold 0 and not at 1, example 1 the other way: made monotone, two err.
  const std::vector<float> loss = {1, 0, 0, 1, 0, 0, 0, 0};
  EXPECT_EQ(conformal_risk_control({loss.data(), 4, 2}, 0.45), 0u);
  EXPECT_EQ(conformal_risk_control({loss.data(), 4, 2}, 0.6), 1u);
}

TEST(Targets, LossAndCost) {
  EXPECT_EQ(threshold_for_loss(Losses(100, {0, 5, 6, 2}).view(), 0.05), 1u);
  EXPECT_EQ(threshold_for_loss(Losses(100, {6}).view(), 0.05), std::nullopt);
  const std::vector<float> cost = {1, 0.8f, 0.5f, 0.2f, 1, 0.6f, 0.5f, 0.4f};
  EXPECT_THAT(column_means({cost.data(), 2, 4}),
              ElementsAre(1, testing::DoubleNear(0.7, 1e-7), 0.5, testing::DoubleNear(0.3, 1e-7)));
  EXPECT_EQ(threshold_for_cost({cost.data(), 2, 4}, 0.5), 2u);
  EXPECT_EQ(threshold_for_cost({cost.data(), 2, 4}, 1), 0u);
  EXPECT_EQ(threshold_for_cost({cost.data(), 2, 4}, 0.1), std::nullopt);
}

TEST(Calibration, RefusesLossesItCannotUse) {
  for (float bad : {-0.1f, 1.5f, std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<float> loss = {0, bad};
    EXPECT_THROW(conformal_risk_control({loss.data(), 2, 1}, 0.1), Error) << bad;
    EXPECT_THROW(learn_then_test({loss.data(), 2, 1}, 0.1, 0.1, PValue::kHoeffdingBentkus), Error);
  }
  const std::vector<float> half = {0, 0.5f};
  EXPECT_THROW(learn_then_test({half.data(), 2, 1}, 0.1, 0.1, PValue::kBinomial), Error);
  EXPECT_THROW(learn_then_test({half.data(), 2, 1}, 0.1, 0, PValue::kHoeffdingBentkus), Error);
  EXPECT_THROW(conformal_risk_control({half.data(), 0, 1}, 0.1), Error);
}

// A population of examples, each right down to a depth of its own: the loss at threshold j is 1
// where difficulty and noise say so. Half of it is drawn for calibration, again and again.
class Population {
 public:
  static constexpr size_t kSize = 1000, kThresholds = 60;

  explicit Population(uint64_t seed) {
    Random random(seed);
    for (size_t i = 0; i < kSize; ++i) {
      const double limit = (uniform(random) + 1) / 2;  // errs from this boldness on
      for (size_t j = 0; j < kThresholds; ++j)
        loss_.push_back(static_cast<double>(j) / (4 * kThresholds) > limit ? 1 : 0);
    }
  }
  std::vector<float> draw(size_t n, uint64_t seed) const {
    Random random(seed);
    std::vector<size_t> row(kSize);
    std::iota(row.begin(), row.end(), size_t{0});
    std::vector<float> drawn;
    for (size_t i = 0; i < n; ++i) {
      std::swap(row[i], row[i + random.below(kSize - i)]);
      const float* from = loss_.data() + row[i] * kThresholds;
      drawn.insert(drawn.end(), from, from + kThresholds);
    }
    return drawn;
  }
  double risk(std::optional<size_t> j) const {
    return j ? column_means({loss_.data(), kSize, kThresholds})[*j] : 0;
  }

 private:
  std::vector<float> loss_;  // (kSize, kThresholds)
};

// epsilon = 0.05 over 400 splits: 32 violations are the 99 % quantile of Binomial(400, 0.05).
TEST(Calibration, TheGuaranteeHoldsAndTheNaiveRuleViolatesIt) {
  constexpr double kDelta = 0.05;
  constexpr size_t kCalibration = 500, kSplits = 400;
  const Population population(3);
  size_t exact = 0, bentkus = 0, naive = 0;
  double crc_risk = 0, exact_risk = 0;
  for (uint64_t seed = 0; seed < kSplits; ++seed) {
    const std::vector<float> drawn = population.draw(kCalibration, seed);
    const Matrix<const float> loss(drawn.data(), kCalibration, Population::kThresholds);
    const auto j = learn_then_test(loss, kDelta, 0.05, PValue::kBinomial);
    exact += population.risk(j) > kDelta;
    exact_risk += population.risk(j) / kSplits;
    bentkus +=
        population.risk(learn_then_test(loss, kDelta, 0.05, PValue::kHoeffdingBentkus)) > kDelta;
    naive += population.risk(threshold_for_loss(loss, kDelta)) > kDelta;
    crc_risk += population.risk(conformal_risk_control(loss, kDelta)) / kSplits;
  }
  EXPECT_LE(exact, 32u);
  EXPECT_LE(bentkus, exact);
  EXPECT_GT(naive, 100u);
  EXPECT_LE(crc_risk, kDelta);
  EXPECT_GT(crc_risk, exact_risk) << "an expectation is cheaper to bound than a probability";
  EXPECT_GT(exact_risk, 0.02) << "and the test is not passed by never leaving early";
}

}  // namespace
}  // namespace fathom::test::calibrate_test
