// SPDX-License-Identifier: Apache-2.0
// The check of the guarantee on losses whose risks are known, and what is timed.
#include "study/sweep_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace fathom::test::sweep_check_test {
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
  EXPECT_NEAR(c->chance, 0.002391329798, 1e-10) << "half of what is judged is what was seen";
  EXPECT_EQ(c->allowed, 3u);
  EXPECT_LE(c->guaranteed.n_population, c->allowed);
  EXPECT_GT(c->naive.n_population, c->allowed);
  EXPECT_EQ(c->naive.n_population, c->naive.n_test)
      << "where the calibration half shows too little, the test half has too much";
  EXPECT_EQ(c->n_abstained, 0u);
}

TEST(Hypergeometric, KnownValues) {
  EXPECT_NEAR(hypergeometric_cdf(1, 50, 5, 10), 0.7418999792331363, 1e-12);
  EXPECT_EQ(hypergeometric_cdf(5, 50, 5, 10), 1);
  EXPECT_NEAR(hypergeometric_cdf(38, 2000, 105, 1000), 0.002391329798, 1e-10);
  EXPECT_EQ(hypergeometric_cdf(0, 10, 8, 5), 0) << "at least 3 of 5 lose";
}

// The exact test at 1,000 rows and delta 0.05 takes a threshold with 38 losses, and passes one of a
// risk just above delta in 4.3 % of the draws; at twice epsilon with 40, in 8.1 %.
TEST(Guarantee, StandsAtTheBoundaryOfAPopulationWithoutEnd) {
  const auto c = check(2000, {0.0, 0.03});
  ASSERT_TRUE(c);
  EXPECT_EQ(c->boundary.n_calibration, 1000u);
  EXPECT_NEAR(c->boundary.chance, 0.04334819060690796, 1e-9);
  EXPECT_EQ(c->boundary.allowed, binomial_quantile(4000, 0.04334819060690796, 0.99));
  EXPECT_NEAR(static_cast<double>(c->boundary.guaranteed) / 4000, 0.0433, 0.012);
  EXPECT_NEAR(static_cast<double>(c->boundary.naive) / 4000, 0.5, 0.06);
  EXPECT_TRUE(c->holds());
  EXPECT_EQ(check(2000, {0.0})->boundary.n_draw, 0u) << "nothing loses";
}

// A check is worth what it would find: a rule that is given twice epsilon must fail it with a
// probability of at least 0.95, whatever number of rows it has; the right rule fails 1 in 100.
TEST(Guarantee, AMutantWithTwiceEpsilonFails) {
  constexpr size_t kSeeds = 40;
  for (size_t n : {400, 600, 1090, 2000}) {
    size_t failed = 0, held = 0;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      GuaranteeOptions options{.n_split = 20, .seed = seed};
      held += check(n, {0.0, 0.02, 0.06}, options)->holds();
      options.rule_epsilon = 2 * options.epsilon;
      failed += !check(n, {0.0, 0.02, 0.06}, options)->holds();
    }
    EXPECT_GE(failed, 38u) << n;
    EXPECT_GE(held, 37u) << n;
  }
}

// Scores lose any share; the threshold's own losses are mixed with rows that lose nothing.
TEST(Guarantee, MixesLossesThatAreNotOneOrZero) {
  std::vector<float> loss;
  for (size_t i = 0; i < 1000; ++i) {
    loss.push_back(0);
    loss.push_back(i % 10 == 0 ? 0.3f : 0);
  }
  const auto c = check_guarantee({loss.data(), 1000, 2}, {.n_draw = 400});
  ASSERT_TRUE(c);
  EXPECT_EQ(c->boundary.chance, 0.05) << "Hoeffding and Bentkus are no exact test";
  EXPECT_LE(c->boundary.guaranteed, c->boundary.allowed);
  EXPECT_GT(c->boundary.naive, 100u);
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
}  // namespace fathom::test::sweep_check_test
