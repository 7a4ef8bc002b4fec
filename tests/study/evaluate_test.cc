// SPDX-License-Identifier: Apache-2.0
// evaluate() without the program: rows of every layer and baseline, and tasks that are missing.
#include "study/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "study/study_bench.h"

namespace fathom::test::evaluate_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

size_t n_row(const EvalResult& result, const std::string& system, const std::string& metric) {
  size_t n = 0;
  for (const MetricRow& row : result.rows) n += row.system == system && row.metric == metric;
  return n;
}

TEST(Evaluate, GivesRowsAndCostsOfEveryLayerAndBaseline) {
  StudyBench bench(40);
  const std::string glove =
      bench.folder.write("words.txt", "red 1 0\nblue 0 1\ncat 1 1\ndog 2 1\nsun 1 2\n");
  const EvalOptions options{.data = bench.data(),
                            .n_resample = 50,
                            .timing = false,
                            .baselines = {{.place = glove}},
                            .command = "a test"};
  std::vector<MissingTask> missing;
  const std::vector<const Task*> chosen = {&find_task("mrpc")};
  std::vector<EvalTask> tasks = load_eval_tasks(chosen, options, bench.listener, missing);
  ASSERT_EQ(tasks.size(), 1u);
  evaluate_baselines(tasks, options);
  const Encoder encoder(bench.open.model, {Reading{.layers = {0, 3, 4}}});
  evaluate(tasks[0], options, bench.open, encoder, {}, bench.listener);
  const EvalResult& result = tasks[0].result;
  EXPECT_EQ(result.task, "mrpc");
  EXPECT_EQ(result.n_pair, 40u);
  EXPECT_EQ(result.n_positive, 14u);
  EXPECT_EQ(n_row(result, "rwkv", "spearman"), 3u);
  EXPECT_EQ(n_row(result, "rwkv", "spearman_minus_glove"), 3u);
  EXPECT_EQ(n_row(result, "glove", "accuracy"), 1u) << "thresholds come from train";
  ASSERT_EQ(result.costs.size(), 4u) << "three layers, then the baseline";
  EXPECT_EQ(result.costs[3].system, "glove");
  for (const CostRow& cost : result.costs) EXPECT_FALSE(cost.seconds_per_pair_packed.has_value());
  EXPECT_EQ(result.settings["glove"]["known"].get<size_t>() > 0, true);
  EXPECT_EQ(result.settings["layers"], (OrderedJson{0, 3, "final"}));
  EXPECT_EQ(result.settings["left_out"]["validation"]["damaged"], 0);
  EXPECT_EQ(result.command, "a test");
  EXPECT_THAT(bench.stages, ElementsAre("evaluated pairs", "train pairs", "timing layers"));
}

TEST(Evaluate, UnderADepthPolicyThereIsOneRow) {
  StudyBench bench(20);
  const EvalOptions options{.data = bench.data(), .n_resample = 50, .timing = false};
  std::vector<MissingTask> missing;
  const std::vector<const Task*> chosen = {&find_task("stsb")};
  std::vector<EvalTask> tasks = load_eval_tasks(chosen, options, bench.listener, missing);
  const DepthChoice depth = open_depth("fixed:2", bench.open.model);
  const Encoder encoder(bench.open.model, {}, depth.policy.get());
  evaluate(tasks.at(0), options, bench.open, encoder, depth, bench.listener);
  const EvalResult& result = tasks[0].result;
  EXPECT_EQ(n_row(result, "rwkv", "spearman"), 1u);
  EXPECT_EQ(result.costs.size(), 1u);
  EXPECT_EQ(result.settings["depth"]["evaluated"]["mean_exit_layer"], 2);
  EXPECT_EQ(result.settings["depth"]["evaluated"]["n_text"], 40);
}

TEST(Evaluate, OfSeveralTasksThoseThatCannotBeAreMissing) {
  StudyBench bench(20);
  const EvalOptions options{.data = bench.data(), .n_resample = 50, .timing = false};
  std::vector<MissingTask> missing;
  const std::vector<const Task*> several = {&find_task("mrpc"), &find_task("cola"),
                                            &find_task("rte")};
  const std::vector<EvalTask> tasks = load_eval_tasks(several, options, bench.listener, missing);
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_FALSE(tasks[0].probe);
  EXPECT_TRUE(tasks[1].probe);  // single sentences have no cosine
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].task, "rte");
  EXPECT_THAT(missing[0].why, HasSubstr("missing: validation"));
  EXPECT_THAT(bench.notes, Contains(HasSubstr("rte: missing: validation")));
}

TEST(Evaluate, ProbesAreNotForDepthPolicies) {
  StudyBench bench(20);
  const EvalOptions options{.data = bench.data(), .n_resample = 50, .timing = false};
  std::vector<MissingTask> missing;
  const std::vector<const Task*> one = {&find_task("cola")};
  std::vector<EvalTask> tasks = load_eval_tasks(one, options, bench.listener, missing);
  const DepthChoice depth = open_depth("fixed:2", bench.open.model);
  const Encoder encoder(bench.open.model, {}, depth.policy.get());
  EXPECT_THAT(
      error_of([&] { evaluate(tasks[0], options, bench.open, encoder, depth, bench.listener); }),
      HasSubstr("fathom sweep judges policies on such tasks"));
}

}  // namespace
}  // namespace fathom::test::evaluate_test
