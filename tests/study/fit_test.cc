// SPDX-License-Identifier: Apache-2.0
// Heads and exits from cached vectors that are made here: a class that shows more the deeper the
// layer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "formats/temp_folder.h"
#include "probe/calibrate.h"
#include "probe/random_data.h"
#include "study/fit_exit.h"
#include "study/fit_heads.h"

namespace fathom::test::fit_test {
namespace {

constexpr size_t kLayers = 5, kDim = 6;  // layers 0 .. 4 of a model with 4 blocks

std::vector<size_t> all_rows(size_t n) {
  std::vector<size_t> rows(n);
  std::iota(rows.begin(), rows.end(), size_t{0});
  return rows;
}

// Vectors of n examples of a task; the first number of a sentence (of a pair: whether the two first
// numbers agree) gives the class away, buried in noise that fades with depth.
class MadeUp {
 public:
  MadeUp(const Task& task, size_t n, uint64_t seed)
      : task_(task),
        cache_(folder_.file("f"), "key",
               {.n_layer = kLayers, .n_text = n * (task.is_pair() ? 2 : 1), .dim = kDim}) {
    Random random(seed);
    for (size_t i = 0; i < n; ++i)
      gold_.push_back(task.gold == Gold::kScore
                          ? 2.5 * (1 + uniform(random))
                          : static_cast<double>(random.below(task.n_class())));
    std::vector<float> values;
    for (size_t l = 0; l < kLayers; ++l)
      for (size_t i = 0; i < n; ++i) {
        const double noise = 2.0 / static_cast<double>(1 + l * l);
        const double first = uniform(random);
        add(first + (task.is_pair() ? 0 : 2 * gold_[i]) + noise * uniform(random), random, values);
        if (task.is_pair())
          add(first + 2 * (gold_[i] - 1) + noise * uniform(random), random, values);
      }
    cache_.append(values, std::vector<uint32_t>(cache_.shape().n_text, 7));
  }

  FitSplit split() const { return {cache_, gold_}; }
  const FeatureCache& cache() const { return cache_; }
  const std::vector<double>& gold() const { return gold_; }
  const Task& task() const { return task_; }

 private:
  static void add(double first, Random& random, std::vector<float>& values) {
    values.push_back(static_cast<float>(first));
    for (size_t j = 1; j < kDim; ++j) values.push_back(static_cast<float>(uniform(random)));
  }

  const Task& task_;
  TempFolder folder_;
  FeatureCache cache_;
  std::vector<double> gold_;
};

ExitRule rule_of(const MadeUp& data, const std::vector<LayerFit>& fits, Measure measure,
                 size_t streak = 1) {
  return make_exit_rule({.measure = measure, .layers = {1, 2, 3, 4}, .streak = streak},
                        &data.task(), fits, kLayers - 1);
}

TEST(FitRows, AreDisjointStratifiedTenths) {
  std::vector<double> gold(400);
  for (size_t i = 0; i < 400; ++i) gold[i] = i % 4 == 0;
  const FitRows rows = part_rows(gold, 2, 2, 1);
  EXPECT_EQ(rows.heads.size(), 280u);
  EXPECT_EQ(rows.tune.size(), 40u);
  EXPECT_EQ(rows.calibration.size(), 80u);
  std::set<size_t> seen;
  for (const auto* part : {&rows.heads, &rows.tune, &rows.calibration}) {
    EXPECT_TRUE(std::ranges::is_sorted(*part));
    seen.insert(part->begin(), part->end());
    const auto n = std::ranges::count_if(*part, [&](size_t r) { return gold[r] == 1; });
    EXPECT_EQ(static_cast<size_t>(n), part->size() / 4);
  }
  EXPECT_EQ(seen.size(), 400u);
  EXPECT_EQ(part_rows(gold, 2, 0, 1).heads.size(), 400u);
  EXPECT_TRUE(part_rows(gold, 2, 0, 1).calibration.empty());
  EXPECT_NE(part_rows(gold, 2, 2, 2).tune, rows.tune);
}

TEST(FitHeads, DeeperLayersAnswerBetter) {
  ThreadPool pool(2);
  for (const char* name : {"sst2", "mrpc", "sst-fine", "stsb", "rte"}) {
    const MadeUp train(find_task(name), 600, 1), dev(find_task(name), 300, 2);
    const FitRows rows = part_rows(train.gold(), train.task().n_class(), 2, 1);
    const FitSplit train_split = train.split(), dev_split = dev.split();
    size_t n_progress = 0;
    const std::vector<LayerFit> fits = fit_heads(train.task(), train_split, rows, &dev_split, {},
                                                 pool, [&](size_t done) { n_progress = done; });
    EXPECT_EQ(n_progress, kLayers);
    ASSERT_EQ(fits.size(), kLayers);
    EXPECT_EQ(fits[0].scores.size(), train.task().metrics.size());
    EXPECT_GT(fits[4].scores[0], 0.75) << name;
    EXPECT_GT(fits[4].scores[0], fits[0].scores[0]) << name;
    EXPECT_EQ(fits[4].fitted.cut_loss.size(), 5u);
    const std::vector<double> predicted = predict(dev.task(), dev.cache(), 4, fits[4]);
    EXPECT_EQ(score_of(dev.task().metrics[0], predicted, dev.gold()), fits[4].scores[0]);
    EXPECT_FALSE(fits[4].fold_score);
  }
}

TEST(FitHeads, TenFoldsWhereASetHasNoSplits) {
  ThreadPool pool(1);
  const MadeUp train(find_task("cr"), 270, 1), dev(find_task("cr"), 30, 2);
  const FitSplit train_split = train.split(), dev_split = dev.split();
  const std::vector<LayerFit> fits =
      fit_heads(train.task(), train_split, part_rows(train.gold(), 2, 0, 1), &dev_split,
                {.post = parse_postprocess("whiten"), .fit = {.c = {0.1, 1}}}, pool);
  ASSERT_TRUE(fits[4].fold_score);
  EXPECT_GT(*fits[4].fold_score, 0.8);
  EXPECT_LT(*fits[0].fold_score, *fits[4].fold_score);
  EXPECT_EQ(fits[4].post.out_dim(kDim), kDim);
}

TEST(Scores, AreTheOfficialMetrics) {
  const std::vector<double> gold = {1, 1, 0, 0, 1}, predicted = {1, 0, 0, 1, 1};
  EXPECT_DOUBLE_EQ(score_of(TaskMetric::kAccuracy, predicted, gold), 0.6);
  EXPECT_DOUBLE_EQ(score_of(TaskMetric::kF1, predicted, gold), 2.0 / 3);
  EXPECT_NEAR(score_of(TaskMetric::kMatthews, predicted, gold), 1.0 / 6, 1e-12);
  EXPECT_DOUBLE_EQ(score_of(TaskMetric::kPearson, gold, gold), 1);
  EXPECT_DOUBLE_EQ(score_of(TaskMetric::kSpearman, {{1, 2, 9}}, {{0, 5, 6}}), 1);
}

std::vector<float> layer_of(const FeatureCache& cache, size_t layer) {
  std::vector<float> values(cache.shape().n_text * cache.shape().dim);
  cache.read(layer, 0, cache.shape().n_text, values);
  return values;
}

// Where EarlyExit itself stops every example, asked at each boundary with the thresholds set.
std::vector<size_t> stops_of_policy(const ExitRule& rule, const FeatureCache& cache, size_t n) {
  const EarlyExit policy("test", rule);
  const size_t width = rule.pair ? 2 : 1, n_live = n * width;
  std::vector<double> scratch(n_live * policy.scratch());
  std::vector<DepthTrace> trace(n_live);
  std::vector<uint32_t> pair(n_live);
  for (size_t s = 0; s < n_live; ++s) pair[s] = static_cast<uint32_t>(s / width);
  std::vector<size_t> stop(n, rule.exits.size() - 1);
  std::vector<bool> stopped(n);
  for (size_t e = 0; e < rule.exits.size(); ++e) {
    const size_t layer = rule.exits[e].layer;
    const std::vector<float> now = layer_of(cache, layer), before = layer_of(cache, layer - 1);
    Boundary at{.layer = layer,
                .pooled = {now.data(), n_live, kDim},
                .previous = {before.data(), n_live, kDim},
                .pair = pair,
                .scratch = {scratch.data(), n_live, policy.scratch()},
                .trace = trace,
                .threads = nullptr};
    std::vector<Step> steps(n_live);
    policy.decide(at, steps);
    for (size_t i = 0; i < n; ++i)
      if (steps[i * width] == Step::kStop && !stopped[i]) {
        stopped[i] = true;
        stop[i] = e;
      }
  }
  return stop;
}

TEST(FitExit, TheTableStopsWhereThePolicyStops) {
  ThreadPool pool(1);
  for (const char* name : {"sst2", "mrpc", "stsb"}) {
    const MadeUp data(find_task(name), 200, 3);
    const FitSplit split = data.split();
    const std::vector<LayerFit> fits =
        fit_heads(data.task(), split, part_rows(data.gold(), data.task().n_class(), 0, 1), nullptr,
                  {.post = parse_postprocess("centre"), .fit = {.c = {0.1}}}, pool);
    const std::vector<size_t> rows = all_rows(200);
    for (Measure measure : kMeasures) {
      if (!fits_task(measure, data.task())) continue;
      const bool twice = measure == Measure::kPcee || measure == Measure::kScore;
      ExitRule rule = rule_of(data, fits, measure, twice ? 2 : 1);
      const ExitExamples examples{data.cache(), rows, data.gold(), 5};
      if (measure == Measure::kLearned)
        rule.learned = fit_learned(rule, examples, ExitLoss::kConsistency, 0.1, pool);
      rule.check(kLayers - 1, kDim);
      const ExitTable table = run_exits(rule, examples, ExitLoss::kConsistency, pool);
      const std::vector<OperatingPoint> points = operating_points(rule, table, 9);
      ASSERT_GE(points.size(), 3u) << name << " " << name_of(measure);
      size_t n_early = 0;
      for (const OperatingPoint& point : points) {
        set_point(rule, point);
        const std::vector<size_t> stop = stops(rule, table, point);
        EXPECT_EQ(stop, stops_of_policy(rule, data.cache(), 200))
            << name << " " << name_of(measure) << " " << point.threshold;
        const auto early =
            static_cast<size_t>(std::ranges::count_if(stop, [](size_t e) { return e < 3; }));
        EXPECT_GE(early, n_early) << "bolder from point to point";
        if (&point == &points.front()) {
          EXPECT_EQ(early, 0u) << "the safest never stops";
        }
        n_early = early;
      }
      EXPECT_GT(n_early, 100u) << name << " " << name_of(measure);
    }
  }
}

// The rule of fit, sweep and advise: what the measure's row asks for, and a streak only where exits
// in a row are counted.
TEST(FitExit, TheRuleHasWhatItsMeasureNeeds) {
  ThreadPool pool(1);
  const MadeUp data(find_task("mrpc"), 60, 3);
  const FitSplit split = data.split();
  const std::vector<LayerFit> fits =
      fit_heads(data.task(), split, part_rows(data.gold(), 2, 0, 1), nullptr,
                {.post = parse_postprocess("centre"), .fit = {.c = {0.1}}}, pool);
  for (Measure measure : kMeasures) {
    const MeasureTraits& m = traits_of(measure);
    const ExitRule rule = make_exit_rule(
        {.measure = measure, .layers = {2, 4}, .streak = 3, .alpha = 0.5}, &data.task(), fits, 4);
    EXPECT_EQ(rule.streak, m.in_a_row ? 3u : 1u) << m.name;
    EXPECT_EQ(rule.alpha, 0.5);
    EXPECT_TRUE(rule.pair);
    EXPECT_EQ(rule.n_class, 2u);
    EXPECT_EQ(rule.features, data.task().features);
    ASSERT_EQ(rule.exits.size(), 2u);
    EXPECT_EQ(rule.exits[0].layer, 2u);
    EXPECT_EQ(rule.exits[0].head.weight, fits[2].fitted.head.weight);
    EXPECT_EQ(rule.exits[0].prototypes.mean.empty(), !m.needs_prototypes) << m.name;
    EXPECT_EQ(rule.post.size(), 5u);
    EXPECT_EQ(rule.post[3].mean, fits[3].post.mean);
    if (!m.needs_learned) {
      EXPECT_NO_THROW(rule.check(4, kDim)) << m.name;
    }
  }
  // Texts without labels: no heads.
  const ExitRule bare =
      make_exit_rule({.measure = Measure::kSaturation, .layers = {1}}, nullptr, fits, 4);
  EXPECT_FALSE(bare.pair);
  EXPECT_EQ(bare.n_class, 0u);
  EXPECT_TRUE(bare.exits[0].head.weight.empty());
}

TEST(FitExit, LossesAndCosts) {
  ThreadPool pool(1);
  const MadeUp data(find_task("sst2"), 200, 3);
  const FitSplit split = data.split();
  const std::vector<LayerFit> fits = fit_heads(data.task(), split, part_rows(data.gold(), 2, 0, 1),
                                               nullptr, {.fit = {.c = {0.1}}}, pool);
  const ExitRule rule = rule_of(data, fits, Measure::kEntropy);
  const std::vector<size_t> rows = all_rows(200), tokens(200, 7);
  const ExitExamples examples{data.cache(), rows, data.gold()};
  const ExitTable table = run_exits(rule, examples, ExitLoss::kConsistency, pool),
                  risk = run_exits(rule, examples, ExitLoss::kRisk, pool);
  for (size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(table.loss[table.at(3, i)], 0) << "the last layer agrees with itself";
    for (size_t e = 0; e < 4; ++e) {
      const float answer = table.answer[table.at(e, i)], full = table.answer[table.at(3, i)];
      EXPECT_EQ(table.loss[table.at(e, i)], answer != full);
      EXPECT_EQ(risk.loss[table.at(e, i)], answer != data.gold()[i] && full == data.gold()[i]);
    }
  }
  CostModel model{};
  model.version = 6;
  model.n_layer = 4;
  model.d_model = model.d_att = kDim;
  model.d_ffn = 24;
  model.head_size = 2;
  const std::vector<OperatingPoint> points = operating_points(rule, table, 20);
  const std::vector<float> cost = cost_matrix(rule, table, points, model, examples, tokens);
  const std::vector<double> mean = column_means({cost.data(), 200, points.size()});
  EXPECT_GT(mean.front(), 1) << "full depth and the heads on the way";
  EXPECT_LT(mean.back(), 0.7);
  EXPECT_TRUE(std::ranges::is_sorted(mean, std::greater()));
  const std::vector<float> loss = loss_matrix(rule, table, points);
  const Matrix<const float> losses(loss.data(), 200, points.size()),
      costs(cost.data(), 200, points.size());
  const auto fast = choose_point({ExitTarget::Kind::kSpeed, 1.2, 0}, losses, costs);
  ASSERT_TRUE(fast);
  EXPECT_LE(mean[*fast], 1 / 1.2);
  const auto sure = choose_point({ExitTarget::Kind::kGuarantee, 0.1, 0.05}, losses, costs),
             loose = choose_point({ExitTarget::Kind::kLoss, 0.1, 0}, losses, costs);
  ASSERT_TRUE(sure && loose);
  EXPECT_LE(*sure, *loose);
  EXPECT_LE(column_means(losses)[*loose], 0.1);
  EXPECT_EQ(choose_point({ExitTarget::Kind::kGuarantee, 0.001, 0.05}, losses, costs), std::nullopt)
      << "200 examples cannot say so";
}

// Without labels: what is returned has to lie near what full depth returns.
TEST(FitExit, MapsBringShallowVectorsNearer) {
  ThreadPool pool(2);
  const MadeUp data(find_task("sst2"), 300, 3);
  ExitRule rule;
  rule.measure = Measure::kSaturation;
  rule.maps.resize(kLayers);
  std::vector<size_t> fitted, judged;
  for (size_t i = 0; i < 300; ++i) (i < 200 ? fitted : judged).push_back(i);
  for (size_t l = 0; l < kLayers; ++l)
    rule.post.push_back(fit_layer_post(parse_postprocess("centre"), data.cache(), l, fitted));
  for (size_t l = 1; l < kLayers; ++l)
    rule.exits.push_back({.layer = l, .threshold = 0, .head = {}, .prototypes = {}});
  const ExitExamples examples{data.cache(), judged};
  const ExitTable plain = run_exits(rule, examples, ExitLoss::kConsistency, pool);
  fit_maps(rule, data.cache(), fitted, judged, pool);
  rule.check(kLayers - 1, kDim);
  const ExitTable mapped = run_exits(rule, examples, ExitLoss::kConsistency, pool);
  for (size_t e = 0; e < 3; ++e) {
    const auto sum = [&](const ExitTable& t) {
      double total = 0;
      for (size_t i = 0; i < 100; ++i) total += t.loss[t.at(e, i)];
      return total;
    };
    EXPECT_LT(sum(mapped), sum(plain)) << "exit " << e;
  }
  EXPECT_TRUE(rule.maps[4].empty());
}

}  // namespace
}  // namespace fathom::test::fit_test
