// SPDX-License-Identifier: Apache-2.0
// FLOPs of depth policies: what is counted for single sequences adds up to what really ran, and
// decisions cost what their formulas multiply.
#include <gtest/gtest.h>

#include "depth/mask.h"
#include "depth/route.h"
#include "encode/depth_encode.h"
#include "encode/exit_rules.h"
#include "eval/cost.h"

namespace fathom::test::depth_cost_test {
namespace {

double sum_of_sequences(const Model& model, const DepthPolicy& policy, const DepthEncoded& e,
                        const Texts& texts) {
  const CostModel cost = cost_model(model.config());
  double flops = 0;
  for (size_t t = 0; t < texts.size(); ++t)
    flops += depth_flops(cost, policy, e.trace[t], texts[t].size());
  return flops;
}

TEST(DepthCost, SequencesAddUpToTheRowsThatRan) {
  for (Version version : {Version::kV4, Version::kV5_2, Version::kV6, Version::kV7}) {
    const Model model = open_blinkdl(small(version, 5), cpu_backend());
    const Texts texts = some_texts();
    const CostModel cost = cost_model(model.config());
    for (uint64_t seed : {1, 2, 3}) {
      const ErraticPolicy policy(false, seed);
      const DepthEncoded e = encode_depth(model, policy, {}, texts);
      double pooling = 0;  // on the way to the exit
      for (size_t t = 0; t < texts.size(); ++t)
        for (size_t l = 0; l < e.trace[t].exit_layer; ++l)
          if (policy.reads_pooled(l)) pooling += static_cast<double>(40 * texts[t].size());
      EXPECT_DOUBLE_EQ(sum_of_sequences(model, policy, e, texts),
                       block_flops(cost, e.stats.rows) + pooling)
          << name_of(version);
    }
  }
}

TEST(DepthCost, FixedDepthCostsWhatTheLayerDoes) {
  for (Version version : {Version::kV5_2, Version::kV7}) {
    const Model model = open_blinkdl(small(version, 4), cpu_backend());
    const Texts texts = some_texts();
    std::vector<size_t> first, second;
    for (size_t t = 0; t < texts.size(); t += 2) {
      first.push_back(texts[t].size());
      second.push_back(texts[t + 1].size());
    }
    const std::vector<double> per_pair = flops_per_pair(cost_model(model.config()), first, second);
    for (size_t depth = 0; depth <= 4; ++depth) {
      const FixedDepth policy(depth);
      const DepthEncoded e = encode_depth(model, policy, {}, texts);
      EXPECT_DOUBLE_EQ(sum_of_sequences(model, policy, e, texts),
                       per_pair[depth] * static_cast<double>(first.size()));
    }
  }
}

// By hand: d_model 6, one exit at layer 2 of 4.
TEST(DepthCost, ExitsPayForHeadsAndMaps) {
  RuleMaker make(1);
  const auto decision = [&](Measure measure, bool pair, size_t n_class) {
    const ExitRule rule = make.rule(measure, pair, 4, 6, {2}, n_class);
    const EarlyExit policy("exit", rule);
    EXPECT_EQ(policy.decision_flops(1, 6), 0);
    return policy.decision_flops(2, 6);
  };
  EXPECT_EQ(decision(Measure::kEntropy, false, 3), 2 * 3 * 6);
  EXPECT_EQ(decision(Measure::kEntropy, false, 2), 2 * 1 * 6);
  // Half of a pair's: |u - v| (2), u v, two cosines (6 each), 13 features.
  EXPECT_EQ(decision(Measure::kEntropy, true, 3), 0.5 * (9 * 6 + 6 * 6 + 2 * 3 * 13));
  EXPECT_EQ(decision(Measure::kSaturation, false, 0), 6 * 6);
  EXPECT_EQ(decision(Measure::kPrototype, false, 3), 2 * 3 * 6 + 4 * 3 * 6);
  EXPECT_EQ(decision(Measure::kLearned, false, 0), 6 * 6 + 2 * 9);

  ExitRule rule = make.rule(Measure::kSaturation, false, 4, 6, {2});
  rule.post[2] = {.mean = make.numbers(6), .scale = {}, .removed = {}, .matrix = make.numbers(24)};
  rule.maps[2] = make.numbers(4 * 6);
  EXPECT_EQ(EarlyExit("exit", rule).finish_flops(2, 6), 6 + 2 * 24 + 2 * 24);
  EXPECT_EQ(EarlyExit("exit", rule).finish_flops(4, 6), 0);
  EXPECT_EQ(EarlyExit("exit", rule).decision_flops(2, 6), 6 + 2 * 24 + 6 * 4);
}

TEST(DepthCost, RoutersPayOnce) {
  RouteRule rule;
  rule.layer = 1;
  rule.weight.resize(3 * 6);
  rule.masks.assign(3, BlockMask::all(4));
  const RoutedDepth policy("route", rule);
  EXPECT_EQ(policy.decision_flops(0, 6), 0);
  EXPECT_EQ(policy.decision_flops(1, 6), 2 * 3 * 6);
  EXPECT_EQ(policy.decision_flops(2, 6), 0);
}

}  // namespace
}  // namespace fathom::test::depth_cost_test
