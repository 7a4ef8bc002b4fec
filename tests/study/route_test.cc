// SPDX-License-Identifier: Apache-2.0
// route() without the program: the route, its controls and its policy files.
#include "study/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "study/study_bench.h"

namespace fathom::test::route_test {
namespace {

using testing::Contains;
using testing::HasSubstr;

TEST(RouteStudy, ComparesTheRouteWithItsControls) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  const RouteResult result =
      route(corpus, {.size = {.keep = 0.6}, .n_cluster = 2, .n_resample = 50, .command = "a test"});
  ASSERT_EQ(result.lines.size(), 6u);
  EXPECT_EQ(result.lines[0].name, "routed");
  EXPECT_EQ(result.lines[4].name, "oracle");
  for (const RouteLine& line : result.lines) {
    if (line.name == "routed" || line.name == "shuffled") {
      EXPECT_GE(line.loss, result.lines[4].loss - 1e-12) << line.name << " beats the oracle";
    }
    if (line.name == "routed") continue;
    EXPECT_NEAR(line.gain.gain, line.loss - result.lines[0].loss, 1e-9) << line.name;
    EXPECT_LE(line.gain.interval.low, line.gain.interval.high);
  }
  EXPECT_THAT(bench.stages, Contains("masks"));
}

TEST(RouteStudy, ItsPolicyFilesHoldTheRouteAndTheOneMaskForAll) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  const RouteResult result = route(
      corpus, {.size = {.keep = 0.6}, .n_cluster = 2, .router = Router::kRidge, .n_resample = 50});
  const auto& rule = std::get<RouteRule>(result.file.rule);
  EXPECT_EQ(rule.n_mask(), 2u);
  EXPECT_EQ(rule.router, Router::kRidge);
  const OrderedJson& fitted = result.file.fitted;
  ASSERT_EQ(fitted["masks"].size(), 2u);
  size_t n_text = 0, n_routed = 0;
  for (const OrderedJson& mask : fitted["masks"]) {
    n_text += mask["n_text"].get<size_t>();
    n_routed += mask["n_routed"].get<size_t>();
  }
  EXPECT_EQ(n_text, 20u);
  EXPECT_EQ(n_routed, 15u);
  EXPECT_TRUE(fitted.contains("kappa"));
  EXPECT_EQ(fitted["held_out"]["routed"]["loss"], result.lines[0].loss);
  EXPECT_FALSE(fitted["held_out"]["routed"].contains("gain"));
  EXPECT_TRUE(fitted["held_out"]["global"].contains("gain_low"));
  const PolicyFile global = result.global_file();
  EXPECT_EQ(global.kind(), "mask");
  EXPECT_EQ(pattern_of(std::get<BlockMask>(global.rule)), fitted["global_mask"].get<std::string>());
  EXPECT_EQ(global.fitted, fitted);
}

TEST(RouteStudy, RefusesALayerThatTheModelHasNot) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  EXPECT_THAT(error_of([&] { route(corpus, {.size = {.keep = 0.6}, .layer = 3}); }),
              HasSubstr("layer: expected 0 to 2, got 3"));
}

}  // namespace
}  // namespace fathom::test::route_test
