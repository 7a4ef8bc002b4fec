// SPDX-License-Identifier: Apache-2.0
// The check of the guarantee on losses whose risks are known, and what is timed.
#include "study/sweep_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace fathom::test {
namespace {

// (n, rates): of n examples the first rate * n lose, at every threshold.
std::vector<float> losses(size_t n, const std::vector<double>& rates) {
  std::vector<float> loss;
  for (size_t i = 0; i < n; ++i)
    for (double rate : rates)
      loss.push_back(static_cast<double>(i) < rate * static_cast<double>(n));
  return loss;
}

std::optional<GuaranteeCheck> check(size_t n, const std::vector<double>& rates,
                                    const GuaranteeOptions& options = {}) {
  const std::vector<float> loss = losses(n, rates);
  return check_guarantee({loss.data(), n, rates.size()}, options);
}

TEST(BinomialQuantile, KnownValues) {
  EXPECT_EQ(binomial_quantile(200, 0.05, 0.99), 18u);  // scipy.stats.binom.ppf
  EXPECT_EQ(binomial_quantile(10, 0.5, 0.5), 5u);
  EXPECT_EQ(binomial_quantile(10, 0, 0.99), 0u);
  EXPECT_EQ(binomial_quantile(10, 1, 0.99), 10u);
}

TEST(Guarantee, HoldsWhereTheNaiveRuleDoesNot) {
  // The second threshold is a little too bold: a half of the rows often does not show it.
  const auto c = check(2000, {0.0, 0.0525});
  ASSERT_TRUE(c);
  EXPECT_EQ(c->n_split, 200u);
  EXPECT_EQ(c->n_example, 2000u);
  EXPECT_EQ(c->allowed, 18u);
  EXPECT_LE(c->guaranteed.n_population, c->allowed);
  EXPECT_GT(c->naive.n_population, c->allowed);
  EXPECT_EQ(c->naive.n_population, c->naive.n_test)
      << "where the calibration half shows too little, the test half has too much";
  EXPECT_EQ(c->n_abstained, 0u);
}

TEST(Guarantee, SafeThresholdsAreNeverViolated) {
  const auto c = check(1000, {0.0, 0.01, 0.2});
  ASSERT_TRUE(c);
  EXPECT_EQ(c->guaranteed.n_population, 0u);
  EXPECT_EQ(c->naive.n_population, 0u) << "0.2 is far above 0.05";
}

TEST(Guarantee, FullDepthWhereNothingIsCertified) {
  const auto c = check(1000, {0.5});
  ASSERT_TRUE(c);
  EXPECT_EQ(c->n_abstained, 200u);
  EXPECT_EQ(c->guaranteed.n_population, 0u) << "full depth loses nothing";
}

TEST(Guarantee, IsDeterministicAndWantsEnoughExamples) {
  EXPECT_EQ(check(2000, {0.0, 0.0525})->naive.n_population,
            check(2000, {0.0, 0.0525})->naive.n_population);
  EXPECT_EQ(check(399, {0.0}), std::nullopt);
  EXPECT_TRUE(check(400, {0.0}));
}

TEST(TimePolicy, RunsPackedAndOneByOneInTurnWithFullDepth) {
  using Call = std::pair<size_t, size_t>;
  std::vector<std::pair<char, Call>> calls;
  const PolicyTime time = time_policy(
      2,
      [&](size_t b, size_t e) {
        calls.push_back({'p', {b, e}});
      },
      [&](size_t b, size_t e) {
        calls.push_back({'f', {b, e}});
      },
      2);
  EXPECT_EQ(time.n_example, 2u);
  const std::vector<std::pair<char, Call>> round = {{'f', {0, 2}}, {'p', {0, 2}}, {'f', {0, 1}},
                                                    {'f', {1, 2}}, {'p', {0, 1}}, {'p', {1, 2}}};
  std::vector<std::pair<char, Call>> expected = {{'p', {0, 2}}, {'f', {0, 2}}};  // to warm up
  for (int r = 0; r < 2; ++r) expected.insert(expected.end(), round.begin(), round.end());
  EXPECT_EQ(calls, expected);
}

}  // namespace
}  // namespace fathom::test
