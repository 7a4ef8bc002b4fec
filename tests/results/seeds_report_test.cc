// SPDX-License-Identifier: Apache-2.0
// Tables of a sweep over seeds, from made-up figures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "results/sweep_report.h"

namespace fathom::test::seeds_report_test {
namespace {

using testing::HasSubstr;

SeedMean mean(double value, double low, double high) { return {{value, low, high}, {low, high}}; }

// Exits against plain fixed depth and against one that is stronger.
SweptTask swept(const Estimate& over_strongest) {
  SweptTask task{.name = "trec", .title = "TREC", .metric = "accuracy", .split = "test"};
  OverSeeds o;
  o.seeds = {1, 2};
  o.fixed = {{"layer", "layer", mean(0.7, 0.6, 0.8)},
             {"first+layer, all rows", "first+layer", mean(0.8, 0.7, 0.9)}};
  o.strongest = "first+layer, all rows";
  o.exits = {{"layer", {"margin", "entropy"}, mean(0.75, 0.7, 0.8)},
             {std::string(kBestExits), {"layer: margin", "layer: entropy"}, mean(0.75, 0.7, 0.8)}};
  const SeedMean strong{over_strongest, {over_strongest.low, over_strongest.high}};
  o.gains = {{"layer", "layer", mean(0.05, 0.02, 0.08)},
             {"layer", "first+layer, all rows", strong},
             {std::string(kBestExits), "first+layer, all rows", strong}};
  o.kept = {{.share = 0.99,
             .by = "exits",
             .settings = {"a", "b"},
             .factor = mean(4, 2, 8),
             .loss = mean(0.01, 0, 0.02),
             .loss_all_rows = mean(0.03, 0.02, 0.04)}};
  task.over_seeds = std::move(o);
  return task;
}

TEST(Headline, NamesTheStrongestBaselineAndTellsTheSign) {
  EXPECT_EQ(
      headline_of(swept({-0.05, -0.08, -0.02})),
      "TREC: exits lie below the strongest fixed depth (heads: first+layer, all rows) by mean "
      "accuracy: -0.0500 [-0.0800, -0.0200]; plain exits over the plain fixed curve +0.0500 "
      "[+0.0200, +0.0800]; 2 seeds.");
  EXPECT_THAT(headline_of(swept({0.05, 0.02, 0.08})), HasSubstr("exits lie above the strongest"));
  EXPECT_THAT(headline_of(swept({0.01, -0.02, 0.08})),
              HasSubstr("exits show no difference from the strongest"));
  SweptTask none = swept({0, 0, 0});
  none.over_seeds->exits.clear();
  EXPECT_EQ(headline_of(none), "");
  EXPECT_EQ(headline_of(SweptTask{}), "");
}

TEST(SeedTables, ShowEveryBaselineBesideTheGainOverIt) {
  const SweptTask task = swept({-0.05, -0.08, -0.02});
  const Table t = baseline_table(task);
  ASSERT_EQ(t.rows().size(), 2u);
  EXPECT_FALSE(t.rows()[0][0].is_emphasised());
  EXPECT_TRUE(t.rows()[1][0].is_emphasised()) << "the strongest";
  EXPECT_EQ(t.rows()[0][2].display(), "0.0500 [0.0200, 0.0800]");
  EXPECT_EQ(t.rows()[1][2].display(), "-0.0500 [-0.0800, -0.0200]");
  EXPECT_TRUE(t.rows()[1][3].is_missing()) << "no exits with such heads";
  // Nothing of it is cut off, or put below, on the terminal.
  const std::string brief = to_text(baseline_table(task, true), 120);
  EXPECT_THAT(brief, HasSubstr("first+layer, all rows"));
  EXPECT_EQ(std::ranges::count(brief, '\n'), 4);
  const Table kept = kept_table(task);
  EXPECT_EQ(kept.rows()[0][0].display(), "99 %");
  EXPECT_EQ(kept.rows()[0][2].display(), "4.00 [2.00, 8.00]");
  EXPECT_EQ(kept.rows()[0][3].display(), "2.0 8.0");
  EXPECT_EQ(kept.rows()[0][4].display(), "1.0 [0.0, 2.0]") << "percent";
}

TEST(SeedTables, MeansOverOtherTasksStandBelowALine) {
  SweepResult result;
  const auto add = [&](const char* policy, std::vector<std::string> tasks) {
    result.means.push_back({.policy = policy, .tasks = std::move(tasks), .elue = {0.1, 0, 0.2}});
  };
  add("fixed", {"trec", "stsb"});
  add("exit:margin", {"trec"});
  add("exit:saturation", {"trec", "stsb"});
  const Table t = mean_table(result);
  ASSERT_EQ(t.rows().size(), 3u);
  EXPECT_EQ(t.rows()[1][0].display(), "exit:saturation");
  EXPECT_EQ(t.rows()[2][0].display(), "exit:margin");
  EXPECT_EQ(t.rows()[2][1].display(), "trec");
  EXPECT_FALSE(t.has_rule_before(1));
  EXPECT_TRUE(t.has_rule_before(2));
}

}  // namespace
}  // namespace fathom::test::seeds_report_test
