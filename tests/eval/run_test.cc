// SPDX-License-Identifier: Apache-2.0
// Rows of a data set with several parts: one figure of all pairs, and the mean of the parts' own.
#include "eval/run.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/metrics.h"

namespace fathom::test::run_test {
namespace {

const MetricRow* find(std::span<const MetricRow> rows, std::string_view metric) {
  for (const MetricRow& row : rows)
    if (row.metric == metric) return &row;
  return nullptr;
}

TEST(MetricRows, MeanOverTheSetsOfAYear) {
  const std::vector<double> gold = {1, 2, 3, 4, 5, 1, 2, 3, 4},
                            score = {0.1, 0.3, 0.2, 0.5, 0.9, 0.8, 0.6, 0.7, 0.4};
  Dataset data;
  data.task = &find_task("sts13");
  data.parts = {"FNWN", "headlines"};
  for (size_t i = 0; i < gold.size(); ++i) data.pairs.push_back({"a", "b", gold[i], 0, i >= 5});
  ThreadPool pool(1);
  const Scores system{"rwkv", 3, score, {}};
  const std::vector<MetricRow> rows =
      metric_rows({&system, 1}, data, nullptr, {.n_resample = 100}, pool);
  const std::span<const double> g = gold, s = score;
  const double first = spearman(s.first(5), g.first(5)), second = spearman(s.last(4), g.last(4));
  ASSERT_NE(find(rows, "spearman_mean"), nullptr);
  EXPECT_DOUBLE_EQ(find(rows, "spearman_mean")->value, (first + second) / 2);
  EXPECT_DOUBLE_EQ(find(rows, "spearman")->value, spearman(s, g));
  EXPECT_LE(find(rows, "spearman_mean")->low, find(rows, "spearman_mean")->high);

  for (Pair& pair : data.pairs) pair.part = 0;
  EXPECT_EQ(
      find(metric_rows({&system, 1}, data, nullptr, {.n_resample = 10}, pool), "spearman_mean"),
      nullptr)
      << "one set is no mean";
}

}  // namespace
}  // namespace fathom::test::run_test
