// SPDX-License-Identifier: Apache-2.0
// Resamples: that metrics from multiplicities equal those of the written-out sample, that draws
// depend on the seed alone, and that intervals and p-values are what the header says.
#include "eval/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "eval/metrics.h"

namespace fathom::bootstrap_test {
namespace {

using Values = std::vector<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Sample {
  Values score, target;
};

// At most n_level distinct scores; n_grade distinct targets.
Sample random_sample(Random& random, size_t n, uint64_t n_level, uint64_t n_grade) {
  Sample s;
  for (size_t i = 0; i < n; ++i) {
    s.score.push_back(static_cast<double>(random.below(n_level)) / 64 - 3);
    s.target.push_back(static_cast<double>(random.below(n_grade)));
  }
  return s;
}

Sample written_out(const Sample& s, std::span<const uint32_t> pairs) {
  Sample out;
  for (uint32_t pair : pairs) {
    out.score.push_back(s.score[pair]);
    out.target.push_back(s.target[pair]);
  }
  return out;
}

std::vector<uint32_t> multiplicities(size_t n, std::span<const uint32_t> pairs) {
  std::vector<uint32_t> times(n);
  for (uint32_t pair : pairs) ++times[pair];
  return times;
}

::testing::AssertionResult same(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << a << " is not " << b;
}

TEST(RankedPairs, MetricsOfMultiplicitiesEqualThoseOfTheWrittenOutSample) {
  Random random(2);
  size_t n_undefined = 0;
  for (int round = 0; round < 300; ++round) {
    // Small samples, so that resamples of one class and of one score occur.
    const size_t n = 1 + random.below(round % 4 == 0 ? 6 : 60);
    const Sample s = random_sample(random, n, round % 2 ? 5 : uint64_t{1} << 40, 2);
    const RankedPairs pairs(s.score, s.target);
    const Bootstrap bootstrap(n, {.n_resample = 10, .seed = random.next()});
    for (size_t r = 0; r < bootstrap.n_resample(); ++r) {
      SCOPED_TRACE(concat("round ", round, ", resample ", r));
      const auto drawn = bootstrap.draw(r);
      const auto times = multiplicities(n, drawn);
      const Sample out = written_out(s, drawn);
      EXPECT_TRUE(same(pairs.spearman(times), spearman(out.score, out.target)));
      EXPECT_TRUE(same(pairs.auc(times), auc(out.score, out.target)));
      EXPECT_TRUE(same(pairs.average_precision(times), average_precision(out.score, out.target)));
      const RankedPairs plain(out.score, out.target);
      for (double t : {s.score[0], -1.5, -std::numeric_limits<double>::infinity()}) {
        EXPECT_TRUE(same(pairs.accuracy_at(t, times), plain.accuracy_at(t)));
        EXPECT_TRUE(same(pairs.f1_at(t, times), plain.f1_at(t)));
        EXPECT_TRUE(same(pairs.mcc_at(t, times), plain.mcc_at(t)));
      }
      for (auto objective : {ThresholdObjective::kAccuracy, ThresholdObjective::kF1}) {
        const Threshold a = pairs.best_threshold(objective, times);
        const Threshold b = best_threshold(out.score, out.target, objective);
        EXPECT_TRUE(same(a.threshold, b.threshold));
        EXPECT_TRUE(same(a.value, b.value));
      }
      const double r_times = pairs.pearson(times), r_plain = pearson(out.score, out.target);
      if (std::isnan(r_plain))
        EXPECT_TRUE(std::isnan(r_times)) << ++n_undefined;
      else
        EXPECT_NEAR(r_times, r_plain, 1e-12);
      n_undefined += std::isnan(r_plain);
    }
  }
  EXPECT_GT(n_undefined, 20u);
}

TEST(RankedPairs, CorrelationsOfGradedTargetsToo) {
  Random random(4);
  for (int round = 0; round < 200; ++round) {
    const size_t n = 2 + random.below(80);
    const Sample s = random_sample(random, n, round % 2 ? 9 : 1u << 30, round % 3 ? 6 : 1u << 30);
    const RankedPairs pairs(s.score, s.target);
    const auto drawn = Bootstrap(n, {.n_resample = 1, .seed = random.next()}).draw(0);
    const auto times = multiplicities(n, drawn);
    const Sample out = written_out(s, drawn);
    EXPECT_TRUE(same(pairs.spearman(times), spearman(out.score, out.target)));
    const double plain = pearson(out.score, out.target);
    if (std::isnan(plain))
      EXPECT_TRUE(std::isnan(pairs.pearson(times)));
    else
      EXPECT_NEAR(pairs.pearson(times), plain, 1e-12);
  }
}

TEST(RankedPairs, AtAThresholdCountsScoresAtIt) {
  const Values score{1, 2, 2, 3}, target{0, 1, 0, 1};
  const RankedPairs pairs(score, target);
  EXPECT_EQ(pairs.accuracy_at(2), 0.75);     // both 2s are positive
  EXPECT_EQ(pairs.accuracy_at(2.01), 0.75);  // neither is
  EXPECT_EQ(pairs.f1_at(2), 0.8);
  EXPECT_EQ(pairs.accuracy_at(-std::numeric_limits<double>::infinity()), 0.5);
  EXPECT_EQ(pairs.f1_at(std::numeric_limits<double>::infinity()), 0);
  const std::vector<uint32_t> times{0, 3, 1, 0};
  EXPECT_EQ(pairs.accuracy_at(2, times), 0.75);
  EXPECT_EQ(pairs.mcc_at(2, times), 0);
  EXPECT_TRUE(std::isnan(pairs.accuracy_at(kNaN)));
  EXPECT_TRUE(std::isnan(pairs.f1_at(kNaN)));
  EXPECT_TRUE(std::isnan(pairs.mcc_at(kNaN)));
}

// A score that is not a number makes a resample worthless even where it was not drawn: otherwise
// the interval would be that of a luckier system.
TEST(RankedPairs, NonFiniteScoresMakeEveryMetricNaN) {
  const Values score{1, kNaN, 3, 4}, target{0, 1, 0, 1};
  const RankedPairs pairs(score, target);
  const std::vector<uint32_t> times{2, 0, 1, 1};
  for (Multiplicities t : {Multiplicities{}, Multiplicities{times}}) {
    EXPECT_TRUE(std::isnan(pairs.pearson(t)));
    EXPECT_TRUE(std::isnan(pairs.spearman(t)));
    EXPECT_TRUE(std::isnan(pairs.auc(t)));
    EXPECT_TRUE(std::isnan(pairs.average_precision(t)));
    EXPECT_TRUE(std::isnan(pairs.accuracy_at(2, t)));
    EXPECT_TRUE(std::isnan(pairs.f1_at(2, t)));
    EXPECT_TRUE(std::isnan(pairs.mcc_at(2, t)));
    EXPECT_TRUE(std::isnan(pairs.best_threshold(ThresholdObjective::kAccuracy, t).value));
  }
}

// The first draws of seed 1, computed apart from the SplitMix64 paper's definition in Python: a
// seed must mean the same resamples in every later version, or published intervals move.
TEST(Bootstrap, SeedOneMeansTheseResamples) {
  const Bootstrap bootstrap(408);
  EXPECT_EQ(bootstrap.n_resample(), 2000u);
  const std::vector<std::vector<uint32_t>> expected{{150, 384, 18, 317, 89, 315, 255, 100},
                                                    {190, 14, 18, 229, 162, 326, 170, 62},
                                                    {265, 174, 271, 23, 371, 96, 280, 192}};
  for (size_t r = 0; r < expected.size(); ++r) {
    auto drawn = bootstrap.draw(r);
    EXPECT_EQ(drawn.size(), 408u);
    drawn.resize(expected[r].size());
    EXPECT_EQ(drawn, expected[r]);
  }
}

TEST(Bootstrap, DrawsEveryPairAboutEquallyOften) {
  const Bootstrap bootstrap(10, {.n_resample = 20000, .seed = 9});
  std::vector<double> times(10);
  for (size_t r = 0; r < bootstrap.n_resample(); ++r)
    for (uint32_t pair : bootstrap.draw(r)) ++times.at(pair);
  for (double t : times) EXPECT_NEAR(t / 20000, 1, 0.05);  // 7 standard errors
}

TEST(Bootstrap, GivesEachStatisticOfEachResample) {
  const size_t n = 23;
  const Bootstrap bootstrap(n, {.n_resample = 37, .seed = 5});
  const std::vector<Statistic> statistics{
      [](Multiplicities times) { return std::accumulate(times.begin(), times.end(), 0.0); },
      [](Multiplicities times) {
        double sum = 0;
        for (size_t i = 0; i < times.size(); ++i) sum += static_cast<double>(i * times[i]);
        return sum;
      }};
  ThreadPool pool(2);
  const auto replicates = bootstrap.run(statistics, pool);
  ASSERT_EQ(replicates.size(), 2u);
  for (size_t r = 0; r < 37; ++r) {
    const auto drawn = bootstrap.draw(r);
    EXPECT_EQ(replicates[0][r], 23);
    EXPECT_EQ(replicates[1][r], std::accumulate(drawn.begin(), drawn.end(), 0.0));
  }
}

TEST(Bootstrap, DoesNotDependOnThreadsNorOnHowManyResamplesFollow) {
  Random random(6);
  const Sample s = random_sample(random, 50, 1000, 2);
  const RankedPairs pairs(s.score, s.target);
  const std::vector<Statistic> statistics{
      [&](Multiplicities times) { return pairs.pearson(times); }};
  ThreadPool one(1), three(3);
  const auto few = Bootstrap(50, {.n_resample = 21}).run(statistics, one)[0];
  const auto many = Bootstrap(50, {.n_resample = 300}).run(statistics, one)[0];
  EXPECT_EQ(many, Bootstrap(50, {.n_resample = 300}).run(statistics, three)[0]);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
  EXPECT_NE(many, Bootstrap(50, {.n_resample = 300, .seed = 2}).run(statistics, one)[0]);
}

TEST(Bootstrap, ThrowsWhatAStatisticThrows) {
  const Values score{1, 2, 3}, graded{0, 1, 2};
  const RankedPairs pairs(score, graded);
  const std::vector<Statistic> statistics{[&](Multiplicities times) { return pairs.auc(times); }};
  ThreadPool pool(2);
  EXPECT_THROW(Bootstrap(3).run(statistics, pool), Error);
}

TEST(Bootstrap, RefusesNothingToDraw) {
  EXPECT_THROW(Bootstrap(0), Error);
  EXPECT_THROW(Bootstrap(3, {.n_resample = 0}), Error);
}

// The interval of a mean is known without a bootstrap: mean +- 1.96 s / sqrt(n).
TEST(Bootstrap, IntervalOfAMeanIsThatOfTheNormalDistribution) {
  const size_t n = 400;
  Random random(8);
  Values x;
  for (size_t i = 0; i < n; ++i) x.push_back(static_cast<double>(random.below(1000)));
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / n;
  double variance = 0;
  for (double v : x) variance += (v - mean) * (v - mean) / n;
  const std::vector<Statistic> statistics{[&](Multiplicities times) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += times[i] * x[i];
    return sum / n;
  }};
  ThreadPool pool(1);
  const Interval interval = percentile_interval(Bootstrap(n).run(statistics, pool)[0]);
  const double error = std::sqrt(variance / n);
  EXPECT_NEAR(interval.low, mean - 1.96 * error, 0.2 * error);
  EXPECT_NEAR(interval.high, mean + 1.96 * error, 0.2 * error);
  EXPECT_EQ(interval.n_left_out, 0u);
}

TEST(Interval, IsNumpysPercentileOfWhatIsDefined) {
  // numpy.percentile(values, [2.5, 97.5]) without the NaN.
  const Values values{1.5, -2, kNaN, 7, 3.25, 0, 11, 4, 4, kNaN, -9, 2.5};
  const Interval interval = percentile_interval(values);
  EXPECT_NEAR(interval.low, -7.425, 1e-14);
  EXPECT_NEAR(interval.high, 10.1, 1e-14);
  EXPECT_EQ(interval.n_left_out, 2u);

  const Interval half = percentile_interval(Values{0, 1, 2, 3, 4}, 0.5);
  EXPECT_EQ(half.low, 1);
  EXPECT_EQ(half.high, 3);
  const Interval one = percentile_interval(Values{5});
  EXPECT_EQ(one.low, 5);
  EXPECT_EQ(one.high, 5);
  const Interval none = percentile_interval(Values{kNaN});
  EXPECT_TRUE(std::isnan(none.low) && std::isnan(none.high));
  EXPECT_EQ(none.n_left_out, 1u);
}

TEST(Interval, QuantilesInterpolate) {
  const Values ascending{0, 10, 30};
  EXPECT_EQ(quantile_of_sorted(ascending, 0), 0);
  EXPECT_EQ(quantile_of_sorted(ascending, 0.25), 5);
  EXPECT_EQ(quantile_of_sorted(ascending, 0.5), 10);
  EXPECT_EQ(quantile_of_sorted(ascending, 1), 30);
  EXPECT_TRUE(std::isnan(quantile_of_sorted({}, 0.5)));
}

TEST(PairedDifference, SharesOfBothSignsMakeTheP) {
  const Values baseline{0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const auto p = [&](const Values& system) { return paired_difference(system, baseline).p; };
  EXPECT_EQ(p({1, 1, 1, 1, 1, 1, 1, 1, 1, -1}), 0.2);
  EXPECT_EQ(p({-1, -1, -1, -1, -1, -1, -1, -1, 1, 1}), 0.4);
  EXPECT_EQ(p({1, 1, 1, 1, 1, 1, 1, 1, 1, 1}), 0);
  EXPECT_EQ(p({0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 1);  // counts on both sides, at most 1
  EXPECT_EQ(p({0, 1, 1, 1, 1, 1, 1, 1, 1, -1}), 0.4);
  EXPECT_EQ(p({kNaN, kNaN, kNaN, kNaN, kNaN, 1, 1, 1, 1, -1}), 0.4);
  EXPECT_TRUE(std::isnan(p(Values(10, kNaN))));
}

TEST(PairedDifference, IsTakenResampleByResample) {
  const Values baseline{1, 5, 9, kNaN}, system{3, 7, 11, 4};
  const PairedDifference difference = paired_difference(system, baseline);
  EXPECT_EQ(difference.interval.low, 2);  // although both sides vary
  EXPECT_EQ(difference.interval.high, 2);
  EXPECT_EQ(difference.interval.n_left_out, 1u);
  EXPECT_EQ(difference.p, 0);
}

}  // namespace
}  // namespace fathom::bootstrap_test
