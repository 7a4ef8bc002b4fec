// SPDX-License-Identifier: Apache-2.0
// Metrics against their definitions written out plainly (quadratic, no sorting), against figures of
// scipy and scikit-learn, at their edges, and on the golden cases where those are present.
#include "eval/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "eval/stats_cases.h"
#include "eval/threshold.h"
#include "paths.h"

namespace fathom::metrics_test {
namespace {

using ::testing::HasSubstr;
using Values = std::vector<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The definitions.

double literal_pearson(const Values& x, const Values& y) {
  const long double n = static_cast<long double>(x.size());
  long double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) mx += x[i] / n, my += y[i] / n;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
    xy += (x[i] - mx) * (y[i] - my);
  }
  return static_cast<double>(xy / std::sqrt(xx * yy));
}

Values literal_ranks(const Values& x) {
  Values ranks;
  for (double a : x) {
    double below = 0, equal = 0;
    for (double b : x) below += b < a, equal += b == a;
    ranks.push_back(below + (equal + 1) / 2);
  }
  return ranks;
}

double literal_auc(const Values& score, const Values& target) {
  double right = 0, n = 0;
  for (size_t i = 0; i < score.size(); ++i)
    for (size_t j = 0; j < score.size(); ++j)
      if (target[i] == 1 && target[j] == 0) {
        ++n;
        right += score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0;
      }
  return right / n;
}

BinaryCounts literal_counts(const Values& score, const Values& target, double threshold) {
  BinaryCounts c;
  for (size_t i = 0; i < score.size(); ++i) {
    const bool yes = score[i] >= threshold;
    (target[i] == 1 ? (yes ? c.tp : c.fn) : (yes ? c.fp : c.tn)) += 1;
  }
  return c;
}

double literal_average_precision(const Values& score, const Values& target) {
  const std::set<double, std::greater<>> thresholds(score.begin(), score.end());
  double sum = 0, last_recall = 0;
  for (double t : thresholds) {
    const BinaryCounts c = literal_counts(score, target, t);
    const double recall = c.tp / (c.tp + c.fn);
    sum += (recall - last_recall) * c.tp / (c.tp + c.fp);
    last_recall = recall;
  }
  return sum;
}

Threshold literal_best_threshold(const Values& score, const Values& target,
                                 ThresholdObjective objective) {
  const std::set<double> distinct(score.begin(), score.end());
  Values candidates{-kInfinity};
  for (auto s = distinct.begin(); std::next(s) != distinct.end(); ++s)
    candidates.push_back((*s + *std::next(s)) / 2);
  candidates.push_back(kInfinity);
  Threshold best{kNaN, -1};
  for (double t : candidates) {
    const BinaryCounts c = literal_counts(score, target, t);
    const double value = objective == ThresholdObjective::kAccuracy
                             ? (c.tp + c.tn) / static_cast<double>(score.size())
                         : c.tp == 0 ? 0
                                     : 2 * c.tp / (2 * c.tp + c.fp + c.fn);
    if (value >= best.value) best = {t, value};
  }
  return best;
}

struct Sample {
  Values score, target;
};

// n_level distinct scores at most: few levels make ties. The targets lean with the scores.
Sample random_sample(Random& random, size_t n, uint64_t n_level) {
  Sample s;
  for (size_t i = 0; i < n; ++i) {
    const uint64_t level = random.below(n_level);
    s.score.push_back(static_cast<double>(level) / 64 - 3);
    s.target.push_back(random.below(n_level + 4) < level + 2);
  }
  s.target[0] = 0;
  s.target[1] = 1;
  return s;
}

TEST(Metrics, EqualTheirDefinitionsOnRandomSamplesWithAndWithoutTies) {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    const uint64_t n_level = round % 3 == 0 ? 3 : round % 3 == 1 ? 20 : uint64_t{1} << 40;
    Sample s = random_sample(random, 2 + random.below(60), n_level);
    s.score[1] = s.score[0] + 1;  // not constant
    SCOPED_TRACE(concat("round ", round, ", n ", s.score.size()));
    EXPECT_NEAR(pearson(s.score, s.target), literal_pearson(s.score, s.target), 1e-13);
    EXPECT_NEAR(spearman(s.score, s.target),
                literal_pearson(literal_ranks(s.score), literal_ranks(s.target)), 1e-14);
    EXPECT_NEAR(auc(s.score, s.target), literal_auc(s.score, s.target), 1e-15);
    EXPECT_NEAR(average_precision(s.score, s.target), literal_average_precision(s.score, s.target),
                1e-14);
  }
}

TEST(Metrics, EqualScipyAndScikitLearn) {
  const Values x{0.5, -1.25, 3, 0.5, 2, 7.5, -4, 0.5, 2, 1};
  const Values y{1, 0, 1, 0, 0, 1, 0, 1, 1, 0};
  const Values z{4.2, 0.1, 2.8, 3.3, 0.1, 5, 1.6, 2.8, 4.4, 0};
  EXPECT_NEAR(pearson(x, z), 0.4966611920234247, 1e-14);   // scipy.stats.pearsonr
  EXPECT_NEAR(spearman(x, z), 0.3746291622424154, 1e-14);  // scipy.stats.spearmanr
  EXPECT_NEAR(auc(x, y), 0.78, 1e-15);                     // roc_auc_score
  EXPECT_NEAR(average_precision(x, y), 0.8, 1e-15);        // average_precision_score
}

TEST(Metrics, SpearmanOfABinaryTargetIsAFunctionOfAuc) {
  Random random(11);
  for (int round = 0; round < 200; ++round) {
    const Sample s = random_sample(random, 3 + random.below(400), round % 2 ? 12 : 1u << 30);
    const double direct = spearman(s.score, s.target);
    const double by_auc = spearman_from_auc(auc(s.score, s.target), s.score, s.target);
    if (std::isnan(direct))
      EXPECT_TRUE(std::isnan(by_auc));
    else
      EXPECT_NEAR(by_auc, direct, 1e-12) << "n " << s.score.size();
  }
}

// 279 of 408 pairs of MRPC's validation split are positive: perfect ranking is worth 0.8054, and a
// Spearman of 0.4326 is an AUC of 0.7686 (docs/methods.md, "Scores and metrics").
TEST(Metrics, TheCeilingOfMrpcSpearmanIsKnown) {
  Values score, target;
  for (int i = 0; i < 408; ++i) {
    score.push_back(i);
    target.push_back(i >= 408 - 279);
  }
  EXPECT_EQ(auc(score, target), 1);
  EXPECT_NEAR(spearman(score, target), 0.8054, 5e-5);
  EXPECT_NEAR(spearman_from_auc(0.7686, score, target), 0.4326, 5e-5);
}

TEST(Correlation, IsNaNWhereItIsNotDefined) {
  const Values empty, one{1}, constant{2, 2, 2}, rising{1, 2, 3};
  for (auto correlation : {pearson, spearman}) {
    EXPECT_TRUE(std::isnan(correlation(empty, empty)));
    EXPECT_TRUE(std::isnan(correlation(one, one)));
    EXPECT_TRUE(std::isnan(correlation(constant, rising)));
    EXPECT_TRUE(std::isnan(correlation(rising, constant)));
    for (double bad : {kNaN, kInfinity, -kInfinity}) {
      EXPECT_TRUE(std::isnan(correlation(Values{1, bad, 3}, rising))) << bad;
      EXPECT_TRUE(std::isnan(correlation(rising, Values{1, bad, 3}))) << bad;
    }
  }
  // A constant whose computed mean is not itself, and whose computed variance is not 0.
  const Values many(300007, 0.3);
  Values varied(many.size());
  for (size_t i = 0; i < varied.size(); ++i) varied[i] = static_cast<double>(i % 7);
  EXPECT_TRUE(std::isnan(pearson(many, varied)));
  EXPECT_TRUE(std::isnan(pearson(varied, many)));
}

TEST(Correlation, KeepsItsPrecisionFarFromZeroAndFarFromOne) {
  const Values y{3, 1, 4, 1, 5};
  const double expected = literal_pearson({2, 7, 1, 8, 2}, y);
  const auto apply = [](double factor, double offset) {
    Values out;
    for (double v : {2., 7., 1., 8., 2.}) out.push_back(factor * v + offset);
    return out;
  };
  for (double factor : {1e150, 1e-150, 1e300, 0x1p-1070})
    EXPECT_NEAR(pearson(apply(factor, 0), y), expected, 1e-14) << factor;
  for (double offset : {1e6, 1e12, -0x1p50})
    EXPECT_NEAR(pearson(apply(1, offset), y), expected, 1e-14) << offset;
  // Here the mean itself is rounded, on both sides, by as much as the values differ.
  const Values far_y{0x1p52 + 3, 0x1p52 + 1, 0x1p52 + 4, 0x1p52 + 1, 0x1p52 + 5};
  EXPECT_NEAR(pearson(apply(1, 0x1p52), far_y), expected, 1e-14);
  const double max = std::numeric_limits<double>::max();
  EXPECT_EQ(pearson(Values{-max, max, -max, max}, Values{0, 1, 0, 1}), 1);
}

TEST(Spearman, CountsSignedZerosAsTied) {
  const Values y{1, 2, 3, 4, 0};
  EXPECT_EQ(spearman(Values{0.0, -0.0, 1, 2, -0.0}, y), spearman(Values{0, 0, 1, 2, 0}, y));
}

TEST(Ranking, HasItsConventionsAtTheEdges) {
  const Values score{1, 2, 3}, none{0, 0, 0}, all{1, 1, 1}, tied{5, 5, 5}, some{0, 1, 0};
  EXPECT_TRUE(std::isnan(auc(score, none)));
  EXPECT_TRUE(std::isnan(auc(score, all)));
  EXPECT_EQ(auc(tied, some), 0.5);
  EXPECT_EQ(average_precision(score, none), 0);
  EXPECT_EQ(average_precision(score, all), 1);
  EXPECT_NEAR(average_precision(tied, some), 1.0 / 3, 1e-15);  // one step: the share of positives
  EXPECT_EQ(average_precision(Values{}, Values{}), 0);
  EXPECT_TRUE(std::isnan(auc(Values{1, kNaN, 3}, some)));
  EXPECT_TRUE(std::isnan(average_precision(Values{1, kInfinity, 3}, some)));
}

TEST(Ranking, RefusesTargetsThatAreNotBinary) {
  const Values score{1, 2, 3}, graded{0, 1, 2};
  EXPECT_THROW(auc(score, graded), Error);
  EXPECT_THROW(average_precision(score, graded), Error);
  EXPECT_THROW(best_threshold(score, graded, ThresholdObjective::kF1), Error);
  EXPECT_EQ(spearman(score, graded), 1);
}

TEST(Threshold, IsTheBestOfAllCandidates) {
  Random random(3);
  for (int round = 0; round < 400; ++round) {
    const Sample s = random_sample(random, 2 + random.below(30), round % 2 ? 6 : 1000);
    for (auto objective : {ThresholdObjective::kAccuracy, ThresholdObjective::kF1}) {
      const Threshold best = best_threshold(s.score, s.target, objective);
      const Threshold literal = literal_best_threshold(s.score, s.target, objective);
      EXPECT_EQ(best.threshold, literal.threshold) << "round " << round;
      EXPECT_EQ(best.value, literal.value) << "round " << round;
    }
  }
}

TEST(Threshold, OfEqualCutsIsTheLarger) {
  // Cuts at 1.5 and 3.5 both decide 3 of 4 pairs; so does +infinity in the second sample.
  const auto accuracy_threshold = [](const Values& target) {
    return best_threshold(Values{1, 2, 3, 4}, target, ThresholdObjective::kAccuracy).threshold;
  };
  EXPECT_EQ(accuracy_threshold({0, 1, 0, 1}), 3.5);
  EXPECT_EQ(accuracy_threshold({0, 0, 1, 0}), kInfinity);
  EXPECT_EQ(accuracy_threshold({1, 1, 1, 1}), -kInfinity);
  EXPECT_EQ(accuracy_threshold({0, 0, 0, 0}), kInfinity);
}

TEST(Threshold, NeverFallsIntoATie) {
  // Cutting inside the tie at 2 would decide all pairs.
  const Threshold best =
      best_threshold(Values{1, 2, 2, 3}, Values{0, 0, 1, 1}, ThresholdObjective::kAccuracy);
  EXPECT_EQ(best.threshold, 2.5);
  EXPECT_EQ(best.value, 0.75);
}

TEST(Threshold, SeparatesNeighbouringDoubles) {
  for (double low : {1.0, std::nextafter(1.0, 2.0), -1.0, 0.0, 0.8999999999}) {
    const double high = std::nextafter(low, kInfinity);
    const double t = threshold_between(low, high);
    EXPECT_LT(low, t);
    EXPECT_GE(high, t);
  }
  const double max = std::numeric_limits<double>::max();
  EXPECT_EQ(threshold_between(max / 2, max), max / 4 * 3);
  EXPECT_EQ(threshold_between(-max, max), 0);
}

TEST(Threshold, IsNaNWithoutUsableScores) {
  for (auto objective : {ThresholdObjective::kAccuracy, ThresholdObjective::kF1}) {
    EXPECT_TRUE(std::isnan(best_threshold(Values{}, Values{}, objective).threshold));
    const Threshold t = best_threshold(Values{1, kNaN}, Values{0, 1}, objective);
    EXPECT_TRUE(std::isnan(t.threshold));
    EXPECT_TRUE(std::isnan(t.value));
  }
}

TEST(Classification, CountsAndScoresBinaryDecisions) {
  const std::vector<int> truth{1, 1, 1, 0, 0, 1, 0}, predicted{1, 0, 1, 1, 0, 1, 0};
  const BinaryCounts c = count_binary(truth, predicted);
  EXPECT_EQ(c.tp, 3);
  EXPECT_EQ(c.fn, 1);
  EXPECT_EQ(c.fp, 1);
  EXPECT_EQ(c.tn, 2);
  EXPECT_DOUBLE_EQ(accuracy(c), 5.0 / 7);
  EXPECT_DOUBLE_EQ(f1(c), 0.75);
  EXPECT_DOUBLE_EQ(mcc(c), 5.0 / 12);  // (3 * 2 - 1 * 1) / sqrt(4 * 4 * 3 * 3)
}

TEST(Classification, ZeroDenominatorsGiveZero) {
  EXPECT_EQ(mcc({.tp = 9}), 0);
  EXPECT_EQ(mcc({.tn = 2, .fn = 2}), 0);
  EXPECT_EQ(f1({.tn = 9}), 0);
  EXPECT_EQ(f1({}), 0);
  EXPECT_EQ(mcc({}), 0);
  EXPECT_TRUE(std::isnan(accuracy(BinaryCounts{})));
  EXPECT_EQ(mcc({.fp = 2, .fn = 3}), -1);
}

TEST(Classification, LargeCountsDoNotOverflow) {
  EXPECT_NEAR(mcc({.tp = 7e5, .tn = 9e5, .fp = 3e5, .fn = 1e5}), 0.6123724356957945, 1e-15);
  EXPECT_NEAR(mcc({.tp = 7e15, .tn = 9e15, .fp = 3e15, .fn = 1e15}), 0.6123724356957945, 1e-15);
}

TEST(Multiclass, OfTwoClassesIsTheBinaryOne) {
  Random random(5);
  for (int round = 0; round < 100; ++round) {
    std::vector<int> truth, predicted;
    for (size_t i = 0; i < 1 + random.below(20); ++i) {
      truth.push_back(static_cast<int>(random.below(2)));
      predicted.push_back(static_cast<int>(random.below(2)));
    }
    const BinaryCounts c = count_binary(truth, predicted);
    const MulticlassMetrics m = multiclass_metrics(truth, predicted);
    EXPECT_DOUBLE_EQ(m.accuracy, accuracy(c));
    EXPECT_NEAR(m.mcc, mcc(c), 1e-15);
    const bool both = c.tn + c.fp + c.fn > 0 && c.tp + c.fp + c.fn > 0;
    const double f1_negative = f1({.tp = c.tn, .tn = c.tp, .fp = c.fn, .fn = c.fp});
    EXPECT_DOUBLE_EQ(m.macro_f1, both ? (f1(c) + f1_negative) / 2 : 1);
  }
}

TEST(Multiclass, EqualsScikitLearn) {
  const std::vector<int> truth{0, 1, 2, 3}, predicted{0, 0, 2, 2};
  const MulticlassMetrics m = multiclass_metrics(truth, predicted);
  EXPECT_DOUBLE_EQ(m.accuracy, 0.5);
  EXPECT_DOUBLE_EQ(m.macro_f1, 1.0 / 3);  // classes 1 and 3 count although never predicted
  EXPECT_NEAR(m.mcc, 0.408248290463863, 1e-15);
  const std::vector<int> none;
  EXPECT_TRUE(std::isnan(multiclass_metrics(none, none).accuracy));
  EXPECT_EQ(multiclass_metrics(none, none).macro_f1, 0);
  EXPECT_EQ(multiclass_metrics(none, none).mcc, 0);
}

TEST(StatsCases, GivesTheMetricsOfEachKind) {
  const Json cases = Json::parse(R"([
    {"name": "a", "kind": "correlation", "x": [1, 2, "nan"], "y": [1, 2, 3]},
    {"name": "a", "kind": "correlation", "x": [1, 2, 4], "y": [3, 2, 1], "note": "not read"},
    {"name": "b", "kind": "binary", "truth": [1, 0, 1], "pred": [1, 1, 1.0]},
    {"name": "c", "kind": "multiclass", "truth": [-3, 7], "pred": [7, 7]},
    {"name": "d", "kind": "average_precision", "truth": [0, 1], "score": [-1e-3, 5]},
    {"name": "e", "kind": "average_precision", "truth": [0, 1], "score": [null, "-inf"]},
    {"name": "f", "kind": "counts", "tp": 3, "tn": 2, "fp": 1, "fn": 1},
    {"name": "g", "kind": "binary", "truth": [], "pred": []}])");
  const OrderedJson out = run_stats_cases(cases);
  ASSERT_EQ(out.size(), cases.size());
  EXPECT_EQ(out[0].dump(), R"({"name":"a","kind":"correlation","pearson":null,"spearman":null})");
  EXPECT_EQ(out[1]["spearman"], -1);
  EXPECT_EQ(out[2]["f1"], 0.8);
  EXPECT_EQ(out[2]["mcc"], 0);
  EXPECT_EQ(out[3]["accuracy"], 0.5);
  EXPECT_NEAR(out[3]["macro_f1"].get<double>(), 1.0 / 3, 1e-15);
  EXPECT_EQ(out[4]["average_precision"], 1);
  EXPECT_TRUE(out[5]["average_precision"].is_null());
  EXPECT_EQ(out[6].size(), 5u);
  EXPECT_NEAR(out[6]["mcc"].get<double>(), 5.0 / 12, 1e-15);
  EXPECT_TRUE(out[7]["accuracy"].is_null());
}

TEST(StatsCases, RefusalsNameTheCaseAndTheField) {
  const struct {
    const char* json;
    const char* message;
  } refusals[] = {
      {R"({"name": "a"})", "cases: expected a list"},
      {R"([7])", "case 0: expected an object, got 7"},
      {R"([{"kind": "counts"}])", R"(case 0: missing field "name")"},
      {R"([{"name": 3, "kind": "counts"}])", R"(case 0, field "name": expected a text, got 3)"},
      {R"([{"name": "p"}])", R"(case "p": missing field "kind")"},
      {R"([{"name": "p", "kind": "rmse"}])", R"(case "p", field "kind": expected correlation)"},
      {R"([{"name": "p", "kind": "correlation", "x": [1]}])", R"(case "p": missing field "y")"},
      {R"([{"name": "p", "kind": "correlation", "x": 1, "y": []}])",
       R"(case "p", field "x": expected a list, got 1)"},
      {R"([{"name": "p", "kind": "correlation", "x": [1, 2], "y": [1]}])",
       R"(case "p": "x" has 2 values, "y" has 1)"},
      {R"([{"name": "p", "kind": "correlation", "x": [1, "one"], "y": [1, 2]}])",
       R"(case "p", field "x", value 1: expected a number, "nan", "inf" or "-inf", got "one")"},
      {R"([{"name": "p", "kind": "binary", "truth": [0, 2], "pred": [1, 1]}])",
       R"(case "p", field "truth", value 1: expected 0 or 1, got 2)"},
      {R"([{"name": "p", "kind": "multiclass", "truth": [0], "pred": [0.5]}])",
       R"(case "p", field "pred", value 0: expected a class number, got 0.5)"},
      {R"([{"name": "p", "kind": "multiclass", "truth": [0], "pred": [1e300]}])",
       "expected a class number, got 1e+300"},
      {R"([{"name": "p", "kind": "multiclass", "truth": [0], "pred": ["nan"]}])",
       R"(expected a class number, got "nan")"},
      {R"([{"name": "p", "kind": "average_precision", "truth": ["inf"], "score": [1]}])",
       R"(case "p", field "truth", value 0: expected a class number)"},
      {R"([{"name": "p", "kind": "counts", "tp": -1, "tn": 0, "fp": 0, "fn": 0}])",
       R"(case "p", field "tp": expected an integer >= 0, got -1)"},
      {R"([{"name": "p", "kind": "counts", "tp": 1, "tn": 0.5, "fp": 0, "fn": 0}])",
       R"(case "p", field "tn": expected an integer >= 0, got 0.5)"},
      {R"([{"name": "p", "kind": "counts", "tp": 1, "tn": "2", "fp": 0, "fn": 0}])",
       R"(case "p", field "tn": expected a count, got "2")"},
  };
  for (const auto& refusal : refusals) {
    SCOPED_TRACE(refusal.json);
    try {
      run_stats_cases(Json::parse(refusal.json));
      ADD_FAILURE() << "accepted";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr(refusal.message));
    }
  }
}

TEST(StatsCases, GoldenCasesAgree) {
  const char* shared = std::getenv("FATHOM_SHARED");
  const std::filesystem::path path =
      (shared ? std::filesystem::path(shared)
              : std::filesystem::path(test::kSourceDir) / ".." / "shared") /
      "golden/stats/cases.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  std::ifstream file(path);
  const Json cases = Json::parse(file);
  const OrderedJson out = run_stats_cases(cases);
  ASSERT_EQ(out.size(), cases.size());
  size_t n_compared = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    for (const auto& [metric, value] : out[i].items()) {
      if (metric == "name" || metric == "kind") continue;
      SCOPED_TRACE(out[i]["name"].get<std::string>() + " " + metric);
      const Json& expected = cases[i].at(metric);
      ++n_compared;
      ASSERT_EQ(value.is_null(), expected.is_null());
      if (value.is_null()) continue;
      EXPECT_NEAR(value.get<double>(), expected.get<double>(), cases[i].value("tol", 1e-12));
    }
  }
  EXPECT_GT(n_compared, 100u);
}

}  // namespace
}  // namespace fathom::metrics_test
