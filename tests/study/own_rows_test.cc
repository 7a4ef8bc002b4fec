// SPDX-License-Identifier: Apache-2.0
// What works on a user's own rows: probes by depth, classify, search, compare.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error_of.h"
#include "eval/own_task.h"
#include "study/classify.h"
#include "study/compare.h"
#include "study/fit_task.h"
#include "study/nearest.h"
#include "study/probe_curve.h"
#include "study/study_bench.h"

namespace fathom::test::own_rows_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// n rows of two classes that differ in their first word.
std::string own_file(const StudyBench& bench, const char* name, size_t n) {
  std::string csv = "text,kind\n";
  for (size_t i = 0; i < n; ++i)
    csv += concat(i % 2 ? "sun " : "rain ", sentence(i), i % 2 ? ",bright\n" : ",wet\n");
  return bench.folder.write(name, csv);
}

TEST(ProbeCurve, SmallOwnTasksAreAnsweredByFolds) {
  StudyBench bench;
  FeatureSource source = bench.source();
  const Task& task =
      make_own_task({.file = own_file(bench, "a.csv", 60), .text = "text", .label = "kind"});
  const ProbeCurve curve = probe_layers(task, Split::kTest, "", {}, source);
  ASSERT_EQ(curve.systems.size(), 1u);
  ASSERT_EQ(curve.systems[0].evaluated.size(), 5u);
  EXPECT_EQ(curve.gold.size(), 60u);
  EXPECT_THAT(curve.systems[0].held_out, testing::IsEmpty());
  EXPECT_THAT(curve.notes, testing::Contains(HasSubstr("4 of 5 folds (fewer than 500 rows)")));
  // The first word is at layer 0, so every layer tells the classes apart.
  for (const std::vector<double>& answers : curve.systems[0].evaluated) {
    size_t right = 0;
    for (size_t i = 0; i < answers.size(); ++i) right += answers[i] == curve.gold[i];
    EXPECT_GE(right, 45u);
  }
}

TEST(ProbeCurve, OthersAreJudgedOnTheirSplitAndChosenOnCalibrationRows) {
  StudyBench bench;
  FeatureSource source = bench.source();
  const ProbeCurve curve =
      probe_layers(find_task("cola"), Split::kValidation, bench.data(), {.max_train = 100}, source);
  EXPECT_EQ(curve.gold.size(), 120u);
  EXPECT_EQ(curve.held_out_gold.size(), 20u);
  ASSERT_EQ(curve.systems[0].held_out.size(), 5u);
  EXPECT_EQ(curve.systems[0].held_out[0].size(), 20u);
  EXPECT_EQ(curve.held_out_name, "20 train rows that no probe saw");
  EXPECT_THAT(curve.notes, testing::Contains(HasSubstr("100 of 120 train rows (seed 1)")));
}

EvalTask evaluated(StudyBench& bench, const Task& task, const EvalOptions& options,
                   const EncodeOptions& reading) {
  std::vector<MissingTask> missing;
  const Task* const chosen[] = {&task};
  std::vector<EvalTask> tasks = load_eval_tasks(chosen, options, bench.listener, missing);
  const Encoder encoder(bench.open.model, reading);
  evaluate(tasks.at(0), options, bench.open, encoder, {}, bench.listener);
  return std::move(tasks.at(0));
}

EvalOptions options_of(const StudyBench& bench) {
  EvalOptions options;
  options.data = bench.data();
  options.n_resample = 100;
  options.timing = false;
  options.features = bench.folder.file("probe-features");
  return options;
}

EncodeOptions all_layers(Pooling pooling = Pooling::kMean) {
  EncodeOptions how;
  how.layers = {0, 1, 2, 3, 4};
  how.pooling = pooling;
  return how;
}

TEST(EvaluateProbes, HaveFiguresCostsAndAVerdictByDepth) {
  StudyBench bench;
  const EvalTask task = evaluated(bench, find_task("cola"), options_of(bench), all_layers());
  const EvalResult& r = task.result;
  EXPECT_TRUE(r.probe);
  EXPECT_FALSE(r.is_pair);
  EXPECT_EQ(r.lead, "matthews");
  ASSERT_EQ(r.rows.size(), 5u);
  ASSERT_EQ(r.costs.size(), 5u);
  EXPECT_EQ(r.costs[0].flops_per_pair, 0);
  EXPECT_GT(r.costs[3].flops_per_pair, r.costs[2].flops_per_pair);
  ASSERT_TRUE(r.verdict);
  EXPECT_FALSE(r.verdict->on_evaluated);
  EXPECT_THAT(r.verdict->chosen_on, HasSubstr("24 train rows"));
  EXPECT_LE(r.verdict->shallowest.layer, r.verdict->best.layer);
}

TEST(EvaluatePairs, ChooseALayerOnTrainPairsAndSayIfThereAreNone) {
  StudyBench bench;
  EvalOptions options = options_of(bench);
  options.train_sample = 60;
  const EvalTask task = evaluated(bench, find_task("stsb"), options, all_layers());
  ASSERT_TRUE(task.result.verdict);
  EXPECT_EQ(task.result.verdict->chosen_on, "60 train pairs");
  options.train_sample = 0;
  const EvalTask without = evaluated(bench, find_task("stsb"), options, all_layers());
  EXPECT_TRUE(without.result.verdict->on_evaluated);
  EXPECT_FALSE(without.train);
  // The best of the evaluated rows is the best figure of the table.
  double best = -1;
  for (const MetricRow& row : without.result.rows)
    if (row.metric == "spearman") best = std::max(best, row.value);
  EXPECT_EQ(without.result.verdict->best.value, best);
}

TEST(EvaluatePairs, OfAFewOwnRowsTakesThemAll) {
  StudyBench bench;
  std::string csv = "a,b,same\n";
  for (size_t i = 0; i < 40; ++i)
    csv += concat(sentence(i), ",", sentence(i % 2 ? i : i + 5), i % 2 ? ",yes\n" : ",no\n");
  const Task& task = make_own_task(
      {.file = bench.folder.write("same.csv", csv), .text1 = "a", .text2 = "b", .label = "same"});
  const EvalTask all = evaluated(bench, task, options_of(bench), all_layers());
  EXPECT_EQ(all.result.n_pair, 40u);
  EXPECT_EQ(all.result.n_positive, 20u);
  EXPECT_THAT(all.result.notes, testing::Contains(HasSubstr("All 40 rows are evaluated")));
  EXPECT_TRUE(all.result.verdict->on_evaluated);
  // Equal texts have the cosine 1: they are told apart at every layer.
  EXPECT_EQ(all.result.verdict->best.layer, 0u);
}

TEST(Compare, IsNothingAgainstItselfAndPairedAgainstAnother) {
  StudyBench bench;
  const EvalOptions options = options_of(bench);
  const EvalTask a = evaluated(bench, find_task("stsb"), options, all_layers()),
                 b = evaluated(bench, find_task("stsb"), options, all_layers(Pooling::kLast));
  const Comparison same = compare(a, a, {.n_resample = 100}, bench.open.work.pool());
  ASSERT_EQ(same.lines.size(), 6u);  // best, deepest, layers 0 to 3
  for (const ComparedLayers& line : same.lines) {
    EXPECT_EQ(line.difference, 0);
    EXPECT_EQ(line.low, 0);
    EXPECT_EQ(line.high, 0);
  }
  const Comparison other = compare(a, b, {.n_resample = 100}, bench.open.work.pool());
  const ComparedLayers& last = other.lines.back();
  EXPECT_EQ(last.what, "layer 3");
  EXPECT_EQ(last.difference, last.b.value - last.a.value);
  EXPECT_LE(last.low, last.high);
  const EvalTask cola = evaluated(bench, find_task("cola"), options, all_layers());
  EXPECT_THAT(error_of([&] { compare(a, cola, {}, bench.open.work.pool()); }),
              HasSubstr("not evaluated on the same rows"));
}

TEST(Classify, AnswersByNameWhatThePolicySays) {
  StudyBench bench;
  FeatureSource source = bench.source();
  const Task& task =
      make_own_task({.file = own_file(bench, "b.csv", 200), .text = "text", .label = "kind"});
  const FitData data = fit_data(task, "");
  FitResult result = fit_task(data, {}, {.n_resample = 10}, source);
  PolicyRequest request;
  request.target = {ExitTarget::Kind::kLoss, 0.1, 0};
  const std::string path = bench.folder.file("own.policy");
  write_policy_file(path, fit_exits(request, data, result, source));
  // Its kind is found out.
  const DepthChoice choice = open_depth(path, bench.open.model);
  EXPECT_EQ(choice.policy->name(), "exit:" + path);
  EXPECT_THAT(class_names(choice), ElementsAre("bright", "wet"));
  EncodeOptions how;
  how.layers.clear();
  how.pool_as(choice.file->reading);
  const Encoder encoder(bench.open.model, how, choice.policy.get());
  const std::string made[] = {concat("sun ", sentence(301)), concat("rain ", sentence(302)),
                              concat("rain ", sentence(305))};
  const std::vector<std::string_view> texts(std::begin(made), std::end(made));
  const std::vector<Classified> found = classify(encoder, choice, bench.open, texts, {});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].answer, "bright");
  EXPECT_EQ(found[1].answer, "wet");
  for (const Classified& one : found) {
    EXPECT_GE(one.exit_layer, 1u);
    EXPECT_LE(one.exit_layer, 3u);
    // Heads are dear beside blocks as small as these.
    EXPECT_GT(one.flops_share, static_cast<double>(one.exit_layer) / 3 - 1e-9);
  }
  EXPECT_THAT(error_of([&] { require_heads(open_depth("fixed:2", bench.open.model)); }),
              HasSubstr("it has no heads to classify with"));
}

TEST(Classify, ReadsSinglesAndPairsByTheirColumns) {
  const TempFolder folder;
  const std::string csv = folder.write("p.csv", "n,a,b,c\n7,red,blue,1\n8,sun,rain,0\n");
  const ClassifyInput pairs = read_classify_input(
      csv, {.text = "", .text1 = "a", .text2 = "b", .id = "n", .label = "c"}, true, {});
  EXPECT_THAT(pairs.texts, ElementsAre("red", "blue", "sun", "rain"));
  EXPECT_THAT(pairs.rows.id, ElementsAre("7", "8"));
  EXPECT_THAT(pairs.rows.truth, ElementsAre("1", "0"));
  EXPECT_THAT(pairs.place(3), HasSubstr("line 3"));
  EXPECT_THAT(error_of([&] {
                read_classify_input(
                    csv, {.text = "a", .text1 = "", .text2 = "", .id = "", .label = ""}, true, {});
              }),
              HasSubstr("decides about pairs"));
  EXPECT_THAT(error_of([&] {
                read_classify_input(csv,
                                    {.text = "", .text1 = "a", .text2 = "b", .id = "", .label = ""},
                                    false, {});
              }),
              HasSubstr("decides about single texts"));
}

TEST(Nearest, IsExactByCosineAndKeepsVectors) {
  const std::vector<float> texts = {1, 0, 0, 2, 3, 3, 0, 0}, query = {0, 5};
  const auto found = nearest({query.data(), 1, 2}, {texts.data(), 4, 2}, 3);
  ASSERT_EQ(found[0].size(), 3u);
  EXPECT_EQ(found[0][0].text, 1u);
  EXPECT_DOUBLE_EQ(found[0][0].score, 1);
  EXPECT_EQ(found[0][1].text, 2u);
  EXPECT_NEAR(found[0][1].score, std::sqrt(0.5), 1e-12);
  EXPECT_EQ(found[0][2].text, 0u);  // of equals the first: 0 for both others

  StudyBench bench;
  EncodeOptions how;
  how.layers = {2};
  const Encoder encoder(bench.open.model, how);
  const std::vector<std::string_view> some = {"red cat", "blue dog", "sun"};
  const std::filesystem::path kept = bench.folder.file("kept");
  const std::vector<float> fresh = vectors_of(encoder, bench.open, some, "", {}),
                           first = vectors_of(encoder, bench.open, some, kept, {});
  size_t done = 0;
  const std::vector<float> again =
      vectors_of(encoder, bench.open, some, kept, {}, [&](size_t n) { done = n; });
  EXPECT_EQ(first, fresh);
  EXPECT_EQ(again, fresh);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(kept), {}), 1);
}

}  // namespace
}  // namespace fathom::test::own_rows_test
