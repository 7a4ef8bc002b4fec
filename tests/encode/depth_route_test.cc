// SPDX-License-Identifier: Apache-2.0
// Routing: the router against its formula, the mask it chooses, what a rule must be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "depth/route.h"
#include "encode/depth_encode.h"
#include "encode/exit_rules.h"
#include "encode/telltale_model.h"

namespace fathom::test::depth_route_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr size_t kLayers = 5, kDim = 24;

// Masks that agree in front of `layer` and all differ behind it.
RouteRule random_rule(Router router, size_t layer, size_t n_mask, uint64_t seed,
                      size_t n_layer = kLayers, size_t d_model = kDim) {
  RuleMaker make(seed);
  Random random(seed);
  RouteRule rule;
  rule.layer = layer;
  rule.router = router;
  rule.weight = make.numbers(n_mask * d_model);
  if (router == Router::kRidge) rule.bias = make.numbers(n_mask, -0.2, 0.2);
  for (size_t m = 0; m < n_mask; ++m) {
    BlockMask mask = BlockMask::all(n_layer);
    for (size_t l = 0; l < n_layer; ++l) {
      const uint64_t bits = l < layer ? 1 + l : random.next();
      mask.time_mix[l] = (bits & 1) != 0;
      mask.channel_mix[l] = (bits & 2) != 0;
    }
    rule.masks.push_back(std::move(mask));
  }
  return rule;
}

size_t literal_choice(const RouteRule& rule, std::span<const float> pooled) {
  std::vector<double> x(pooled.begin(), pooled.end());
  if (!rule.post.mean.empty())
    for (size_t i = 0; i < x.size(); ++i) x[i] -= rule.post.mean[i];
  double length = 0;
  for (double v : x) length += v * v;
  if (rule.normalize)
    for (double& v : x) v /= std::sqrt(length);
  std::vector<double> cost;
  for (size_t m = 0; m < rule.n_mask(); ++m) {
    double c = rule.router == Router::kRidge ? rule.bias[m] : 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double w = rule.weight[m * x.size() + i];
      c += rule.router == Router::kRidge ? w * x[i] : std::pow(x[i] - w, 2);
    }
    cost.push_back(c);
  }
  return static_cast<size_t>(std::ranges::min_element(cost) - cost.begin());
}

TEST(Route, ChoosesByItsFormula) {
  RuleMaker make(11);
  size_t n_chosen = 0;
  for (Router router : {Router::kCentroid, Router::kRidge})
    for (bool normalize : {false, true})
      for (bool centred : {false, true}) {
        RouteRule rule = random_rule(router, 0, 4, 3);
        rule.normalize = normalize;
        if (centred) rule.post.mean = make.numbers(kDim);
        rule.check(kLayers, kDim);
        std::set<size_t> chosen;
        for (int i = 0; i < 60; ++i) {
          const std::vector<float> e = make.numbers(kDim);
          EXPECT_EQ(rule.choose(e), literal_choice(rule, e));
          chosen.insert(rule.choose(e));
        }
        n_chosen += chosen.size();
      }
  EXPECT_GT(n_chosen, 16u) << "of 4 routes in 8 cases";
  // A vector of zeros has no direction, and a route all the same.
  RouteRule rule = random_rule(Router::kCentroid, 0, 3, 1);
  rule.normalize = true;
  EXPECT_LT(rule.choose(std::vector<float>(kDim, 0)), 3u);
}

TEST(Route, RunsTheMaskThatIsChosen) {
  for (Version version : {Version::kV4, Version::kV6, Version::kV7}) {
    const Model model = open_blinkdl(telltale_model(version, kLayers), cpu_backend());
    const Texts texts = some_texts();
    Workspace work(1);
    for (Router router : {Router::kCentroid, Router::kRidge})
      for (size_t layer : {0, 2}) {
        const RouteRule rule = random_rule(router, layer, 4, 6 + layer);
        rule.check(kLayers, kDim);
        const RoutedDepth policy("route", rule);
        const DepthEncoded e = encode_depth(model, policy, {}, texts, 2);
        std::set<int> routes;
        for (size_t t = 0; t < texts.size(); ++t) {
          SimpleDepth simple(model, texts[t], work);
          for (size_t l = 0; l < layer; ++l) simple.run(l, rule.masks[0].step(l));
          const size_t route = rule.choose(simple.pooled(Pooling::kMean, Norm::kNone));
          const BlockMask& mask = rule.masks[route];
          EXPECT_EQ(e.trace[t].route, static_cast<int>(route));
          EXPECT_EQ(e.trace[t].n_sublayer(), mask.n_kept());
          EXPECT_EQ(e.trace[t].exit_layer, std::max(mask.depth(), layer));
          const std::vector<Step> told = steps_told(e.row(t), kLayers);
          for (size_t l = 0; l < kLayers; ++l) EXPECT_EQ(told[l], mask.step(l));
          routes.insert(e.trace[t].route);
        }
        EXPECT_GT(routes.size(), 1u);
      }
  }
}

TEST(Route, DependsOnTheSentenceAlone) {
  const Model model = open_blinkdl(small(Version::kV7, kLayers), cpu_backend());
  const Texts texts = some_texts();
  const RoutedDepth policy("route", random_rule(Router::kCentroid, 1, 4, 2, kLayers, 40));
  EncodeOptions options;
  const DepthEncoded packed = encode_depth(model, policy, options, texts);
  for (size_t t = 0; t < texts.size(); ++t)
    EXPECT_TRUE(same_bits(encode_depth(model, policy, options, {texts[t]}).row(0), packed.row(t)));
  options.batch_tokens = 5;
  EXPECT_TRUE(same_bits(encode_depth(model, policy, options, texts, 2).values, packed.values));
}

TEST(Route, OneMaskForAllIsThatMask) {
  const Model model = open_blinkdl(small(Version::kV6, kLayers), cpu_backend());
  RouteRule rule = random_rule(Router::kRidge, 0, 1, 5, kLayers, 40);
  const MaskedDepth mask("mask", rule.masks[0]);
  EXPECT_TRUE(same_bits(encode_depth(model, RoutedDepth("route", rule), {}, some_texts()).values,
                        encode_depth(model, mask, {}, some_texts()).values));
}

TEST(Route, RefusesRulesThatDoNotFit) {
  const auto refused = [](auto&& spoil, const char* name) {
    RouteRule rule = random_rule(Router::kRidge, 2, 3, 4);
    ASSERT_NO_THROW(rule.check(kLayers, kDim));
    spoil(rule);
    EXPECT_THAT([&] { rule.check(kLayers, kDim); }, ThrowsMessage<Error>(HasSubstr(name)));
  };
  refused([](RouteRule& r) { r.layer = kLayers; }, "route.layer");
  refused([](RouteRule& r) { r.masks.clear(); }, "route.masks");
  refused([](RouteRule& r) { r.masks[1].time_mix.pop_back(); }, "route.masks");
  refused([](RouteRule& r) { r.masks[2].time_mix[1].flip(); }, "differ in block 2");
  refused([](RouteRule& r) { r.weight.pop_back(); }, "route.weight");
  refused([](RouteRule& r) { r.weight[5] = NAN; }, "route.weight");
  refused([](RouteRule& r) { r.bias.pop_back(); }, "route.bias");
  refused([](RouteRule& r) { r.router = Router::kCentroid; }, "route.bias");
}

}  // namespace
}  // namespace fathom::test::depth_route_test
