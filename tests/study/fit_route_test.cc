// SPDX-License-Identifier: Apache-2.0
// Routing: masks of clusters, both routers, and what is told about them.
#include "study/fit_route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/error_of.h"
#include "encode/depth_encode.h"

namespace fathom::test::fit_route_test {
namespace {

using testing::HasSubstr;

// Texts of two kinds, by turns: tokens below 8, and tokens from 28 on.
Texts two_kinds(size_t n, uint64_t seed) {
  Texts texts;
  for (size_t i = 0; i < n; ++i) {
    std::vector<Token> ids = random_ids(6 + i % 5, 8, seed + i);
    if (i % 2)
      for (Token& id : ids) id += 28;
    texts.push_back(std::move(ids));
  }
  return texts;
}

struct RouteBench {
  explicit RouteBench(Version version = Version::kV6)
      : model(open_blinkdl(small(version, 4), cpu_backend())) {}

  MaskTexts fitted() const { return {model, options, texts}; }
  MaskTexts judged() const { return {model, options, others}; }
  PruneProblem problem(size_t layer = 1) const {
    return prune_problem(cost_model(model.config()), UnitKind::kSublayer, layer, std::nullopt,
                         keep);
  }
  RouteFit fit(Router router, size_t n_cluster = 2, size_t layer = 1) {
    return fit_route(fitted(), 4, problem(layer),
                     {.n_cluster = n_cluster, .layer = layer, .router = router}, work);
  }

  // Clusters that find the same mask become one: a size at which the two kinds find two.
  RouteFit fit_two(Router router) {
    for (double share : {0.6, 0.5, 0.7, 0.4, 0.8, 0.3}) {
      keep = share;
      RouteFit found = fit(router);
      if (found.rule.n_mask() == 2) return found;
    }
    throw Error("the two kinds of texts find one mask at every size");
  }

  double keep = 0.6;
  Model model;
  EncodeOptions options;
  Texts texts = two_kinds(24, 100), others = two_kinds(15, 900);
  Workspace work{1};
};

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST(FitRoute, EveryKindOfTextHasItsClusterAndAMaskThatIsNoWorse) {
  for (Version version : {Version::kV4, Version::kV6, Version::kV7}) {
    RouteBench b(version);
    const RouteFit fit = b.fit_two(Router::kCentroid);
    ASSERT_EQ(fit.clusters.size(), 2u);
    EXPECT_EQ(fit.clusters[0].n_text, 12u);
    for (const RouteCluster& c : fit.clusters) EXPECT_LE(c.loss, c.loss_global);
    const double most = b.problem().most_share() + 1e-9;
    const CostModel cost = cost_model(b.model.config());
    EXPECT_LE(flops_share(cost, fit.global.mask), most);
    for (const BlockMask& mask : fit.rule.masks) {
      EXPECT_LE(flops_share(cost, mask), most);
      EXPECT_EQ(mask.step(0), Step::kBlock) << "in front of the router";
    }
    // The router knows new texts of both kinds apart.
    const DepthEncoded run = encode_depth(b.model, RoutedDepth("r", fit.rule), b.options, b.others);
    for (size_t t = 0; t < b.others.size(); ++t)
      EXPECT_EQ(run.trace[t].route, run.trace[t % 2].route) << t;
    EXPECT_NE(run.trace[0].route, run.trace[1].route);
  }
}

TEST(FitRoute, ProgressAndRepeats) {
  RouteBench b;
  std::vector<size_t> told;
  const RouteOptions options{.n_cluster = 3, .layer = 0, .router = Router::kRidge};
  const RouteFit once = fit_route(b.fitted(), 2, b.problem(0), options, b.work,
                                  [&](size_t done) { told.push_back(done); });
  EXPECT_THAT(told, testing::ElementsAre(1, 2, 3, 4));
  const RouteFit again = fit_route(b.fitted(), 2, b.problem(0), options, b.work);
  EXPECT_EQ(once.rule.weight, again.rule.weight);
  EXPECT_EQ(once.rule.bias, again.rule.bias);
  EXPECT_GT(once.kappa, 0);
  ASSERT_EQ(once.rule.n_mask(), again.rule.n_mask());
  for (size_t m = 0; m < once.rule.n_mask(); ++m)
    EXPECT_EQ(pattern_of(once.rule.masks[m]), pattern_of(again.rule.masks[m]));
}

// Two kinds of texts that lose least by the same mask need no router between them.
TEST(FitRoute, ClustersWithOneMaskAreOne) {
  RouteBench b;
  for (Router router : {Router::kCentroid, Router::kRidge}) {
    const RouteFit fit = b.fit(router, 6);
    size_t n_text = 0;
    for (size_t m = 0; m < fit.rule.n_mask(); ++m) {
      n_text += fit.clusters[m].n_text;
      for (size_t other = 0; other < m; ++other)
        EXPECT_FALSE(fit.rule.masks[m] == fit.rule.masks[other]);
    }
    EXPECT_EQ(fit.clusters.size(), fit.rule.n_mask());
    EXPECT_EQ(n_text, b.texts.size());
    EXPECT_EQ(fit.rule.weight.size() % fit.rule.n_mask(), 0u);
    fit.rule.check(4, b.model.config().d_model);
  }
}

TEST(FitRoute, RefusesWhatCannotBe) {
  RouteBench b;
  EXPECT_THAT(error_of([&] { b.fit(Router::kCentroid, 25); }), HasSubstr("25 clusters"));
  b.texts.assign(24, {1, 2, 3});
  EXPECT_THAT(error_of([&] { b.fit(Router::kCentroid, 2); }), HasSubstr("1 different vectors"));
}

// Losses that are a linear function of the features: the router predicts them, whatever is added
// to all masks of a text alike.
TEST(RidgeRouter, PredictsLinearLosses) {
  const size_t n = 80, dim = 3;
  Random random(4);
  const auto uniform = [&] { return static_cast<double>(random.below(2000)) / 1000 - 1; };
  const double w[2][3] = {{1, -0.5, 0.2}, {-1, 0.5, 0.3}};
  std::vector<float> x;
  std::vector<double> losses;
  for (size_t t = 0; t < n; ++t) {
    const double own = 5 * uniform();
    for (size_t i = 0; i < dim; ++i) x.push_back(static_cast<float>(uniform()));
    for (size_t m = 0; m < 2; ++m) {
      double loss = own + (m ? 0.4 : 0);
      for (size_t i = 0; i < dim; ++i) loss += w[m][i] * x[t * dim + i];
      losses.push_back(loss);
    }
  }
  const RidgeRouter router = fit_ridge_router({x.data(), n, dim}, {losses.data(), n, 2}, 1);
  EXPECT_EQ(router.kappa, 0.01);
  size_t n_right = 0;
  for (size_t t = 0; t < n; ++t) {
    double predicted[2];
    for (size_t m = 0; m < 2; ++m) {
      predicted[m] = router.bias[m];
      for (size_t i = 0; i < dim; ++i)
        predicted[m] += double{router.weight[m * dim + i]} * x[t * dim + i];
    }
    EXPECT_NEAR(predicted[0] - predicted[1], losses[2 * t] - losses[2 * t + 1], 0.1);
    n_right += (predicted[0] < predicted[1]) == (losses[2 * t] < losses[2 * t + 1]);
  }
  EXPECT_GE(n_right, n - 3);
}

// Of features that say nothing the largest kappa says least.
TEST(RidgeRouter, NoiseIsShrunk) {
  const size_t n = 40, dim = 20;
  Random random(8);
  std::vector<float> x(n * dim);
  std::vector<double> losses(n * 2);
  for (float& v : x) v = static_cast<float>(random.below(1000)) / 1000;
  for (double& v : losses) v = static_cast<double>(random.below(1000)) / 1000;
  EXPECT_EQ(fit_ridge_router({x.data(), n, dim}, {losses.data(), n, 2}, 1).kappa, 100);
  EXPECT_THAT(error_of([&] {
                fit_ridge_router({x.data(), 1, dim}, {losses.data(), 1, 2}, 1);
              }),
              HasSubstr("at least 2 texts"));
}

TEST(JudgeRoute, TellsWhatReallyRuns) {
  RouteBench b;
  for (Router router : {Router::kCentroid, Router::kRidge}) {
    const RouteFit fit = b.fit_two(router);
    const PruneProblem problem = b.problem();
    const RouteLosses losses = judge_route(fit, b.judged(), 4, problem, 5, 1, b.work);
    const MaskObjective objective(b.judged(), ObjectiveKind::kCosine, 4, {}, b.work);
    const DepthEncoded run = encode_depth(b.model, RoutedDepth("r", fit.rule), b.options, b.others);
    std::vector<std::vector<double>> by_mask;
    for (const BlockMask& mask : fit.rule.masks) by_mask.push_back(objective.text_losses(mask));
    std::vector<size_t> n_routed(2);
    for (size_t t = 0; t < 15; ++t) {
      const auto route = static_cast<size_t>(run.trace[t].route);
      ++n_routed[route];
      EXPECT_NEAR(losses.routed.loss[t], by_mask[route][t], 1e-6);
      EXPECT_DOUBLE_EQ(losses.oracle.loss[t], std::min(by_mask[0][t], by_mask[1][t]));
      EXPECT_GE(losses.routed.loss[t], losses.oracle.loss[t] - 1e-6);
    }
    EXPECT_EQ(losses.n_routed, n_routed);
    EXPECT_EQ(losses.global.loss, objective.text_losses(fit.global.mask));
    EXPECT_EQ(losses.truncated.loss, objective.text_losses(problem.without(last_removed(problem))));
    // Shuffled at random: each mask's loss as often as the mask is used.
    EXPECT_NEAR(mean(losses.shuffled.loss),
                (static_cast<double>(n_routed[0]) * mean(by_mask[0]) +
                 static_cast<double>(n_routed[1]) * mean(by_mask[1])) /
                    15,
                1e-12);
    // Random masks have the global one's FLOPs; routing adds its router and a pooling.
    EXPECT_NEAR(losses.random.flops_share, losses.global.flops_share, 1e-9);
    EXPECT_GT(losses.routed.flops_share,
              std::min(flops_share(cost_model(b.model.config()), fit.rule.masks[0]),
                       flops_share(cost_model(b.model.config()), fit.rule.masks[1])));
    EXPECT_LT(losses.routed.flops_share, problem.most_share() + 0.05);
  }
}

// One cluster is one mask: routing is that mask.
TEST(JudgeRoute, OneClusterIsTheGlobalMask) {
  RouteBench b;
  const RouteFit fit = b.fit(Router::kCentroid, 1);
  const RouteLosses losses = judge_route(fit, b.judged(), 4, b.problem(), 2, 1, b.work);
  const RouteGain over_global = gain_over(losses.global, losses, {}, b.work.pool());
  EXPECT_NEAR(over_global.gain, 0, 1e-7);
  EXPECT_NEAR(over_global.interval.low, 0, 1e-7);
  EXPECT_NEAR(over_global.interval.high, 0, 1e-7);
}

TEST(GainOver, IsTheMeanDifferenceWithItsInterval) {
  RouteLosses losses;
  RouteLosses::Choice baseline;
  for (size_t t = 0; t < 50; ++t) {
    losses.routed.loss.push_back(0.01 * static_cast<double>(t));
    baseline.loss.push_back(0.01 * static_cast<double>(t) + (t % 2 ? 0.3 : 0.1));
  }
  ThreadPool pool(1);
  const RouteGain gain = gain_over(baseline, losses, {.n_resample = 2000, .seed = 3}, pool);
  EXPECT_NEAR(gain.gain, 0.2, 1e-12);
  // 0.2 -+ 1.96 * 0.1 / sqrt(50)
  EXPECT_NEAR(gain.interval.low, 0.172, 0.006);
  EXPECT_NEAR(gain.interval.high, 0.228, 0.006);
}

}  // namespace
}  // namespace fathom::test::fit_route_test
