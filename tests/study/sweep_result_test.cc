// SPDX-License-Identifier: Apache-2.0
// What a sweep found, made up here: its JSON and back, the verdict, means over tasks, files beside
// each other.
#include "study/sweep_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace fathom::test::sweep_result_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PointScore point(const std::string& setting, double score, double share = 0.5) {
  return {.setting = setting,
          .score = {score, score - 0.1, score + 0.1},
          .metrics = {{"accuracy", score}, {"f1", score / 2}},
          .flops = 2000 * share,
          .share = share,
          .mean_layer = 1.5,
          .above_curve = -0.25,
          .shuffled_score = std::nan(""),
          .n_exit = {0, 3, 1},
          .calibration_score = score,
          .calibration_share = share};
}

Against against(size_t point, double difference, double spread = 0.05, double factor = 2) {
  return {.point = point,
          .setting = "threshold 0.5",
          .factor = {factor, factor - 0.5, factor + 0.5},
          .difference = {difference, difference - spread, difference + spread},
          .relative_loss = {std::nan(""), std::nan(""), std::nan("")}};
}

PolicyResult result(const std::string& policy, std::vector<PointScore> points) {
  return {.policy = policy,
          .metric = "accuracy",
          .score = {.points = std::move(points),
                    .elue = {0.25, 0, 0.5},
                    .elue_replicates = {0, 0.25, 0.5},
                    .best_layer = 1},
          .rows = {.heads = 7, .tune = 1, .calibration = 2}};
}

// Fixed depth of two layers, 0.5 and 0.75 right, and whatever else.
std::vector<PolicyResult> with_fixed(std::vector<PolicyResult> others) {
  others.insert(others.begin(),
                result("fixed", {point("layer 1", 0.5), point("layer 2", 0.75, 1)}));
  return others;
}

PolicyResult full_result() {
  PolicyResult r = result("exit:max-prob", {point("threshold 0.5", 0.625)});
  r.score.speed_up_full = against(0, 0.125);
  r.exit_layers = {1, 1, 2, 1};
  r.reliability = {{.layer = 1, .n = 4, .confidence = 0.875, .accuracy = 0.75}};
  r.fitted = OrderedJson{{"data", "cola"}};
  r.guarantee = GuaranteeCheck{.n_example = 400,
                               .n_split = 200,
                               .delta = 0.05,
                               .epsilon = 0.05,
                               .guaranteed = {1, 2},
                               .naive = {3, 4},
                               .n_abstained = 5,
                               .chance = 0.01,
                               .allowed = 18,
                               .boundary = {.n_draw = 4000,
                                            .n_calibration = 200,
                                            .guaranteed = 150,
                                            .naive = 2000,
                                            .chance = 0.04,
                                            .allowed = 180}};
  r.times = {
      {.point = 0,
       .measured = {.time = {.n_example = 8,
                             .packed_seconds = 0.5,
                             .packed_full_seconds = 1,
                             .batch1_seconds = 3,
                             .batch1_full_seconds = 4},
                    .predicted_share = 0.25},
       .batches = {{.batch = 8, .n_call = 40, .policy = {0.5, 0.75}, .full = {1, 2, 0.125}}}}};
  return r;
}

constexpr std::string_view kPart =
    R"({"policy":"exit:max-prob","metric":"accuracy","elue":{"value":0.25,"low":0.0,"high":0.5},)"
    R"("best_fixed_layer":1,"speed_up_full":{"point":0,"setting":"threshold 0.5",)"
    R"("factor":{"value":2.0,"low":1.5,"high":2.5},)"
    R"("difference":{"value":0.125,"low":0.075,"high":0.175},)"
    R"("relative_loss":{"value":null,"low":null,"high":null}},"speed_up_best_fixed":null,)"
    R"("speed_up_full_on_split":null,"speed_up_best_fixed_on_split":null,"same_cost":null,)"
    R"("points":[{"setting":"threshold 0.5","flops":1000.0,"flops_share":0.5,"mean_layer":1.5,)"
    R"("score":0.625,"low":0.525,"high":0.725,"above_curve":-0.25,"shuffled_score":null,)"
    R"("calibration_score":0.625,"calibration_flops_share":0.5,"n_exit":[0,3,1],)"
    R"("metrics":{"accuracy":0.625,"f1":0.3125}}],"exit_layers":[1,1,2,1],)"
    R"("reliability":[{"layer":1,"n":4,"confidence":0.875,"accuracy":0.75}],)"
    R"("elue_replicates":[0.0,0.25,0.5],"rows":{"heads":7,"tune":1,"calibration":2},)"
    R"("fitted":{"data":"cola"},"guarantee":{"n_example":400,"n_split":200,"delta":0.05,)"
    R"("epsilon":0.05,"chance":0.01,"allowed":18,"learn_then_test":{"population":1,"test_half":2},)"
    R"("naive":{"population":3,"test_half":4},"abstained":5,)"
    R"("boundary":{"n_draw":4000,"n_calibration":200,"chance":0.04,"allowed":180,)"
    R"("learn_then_test":150,"naive":2000}},"times":[{"point":0,"n_example":8,)"
    R"("predicted_share":0.25,"packed_share":0.5,"batch1_share":0.75,)"
    R"("packed_measured_over_predicted":2.0,"batch1_measured_over_predicted":3.0,)"
    R"("packed_seconds":0.5,"packed_full_seconds":1.0,"batch1_seconds":3.0,)"
    R"("batch1_full_seconds":4.0,"batches":[{"batch":8,"calls":40,)"
    R"("policy":{"p50_seconds":0.5,"p99_seconds":0.75,"joules_of_example":null},)"
    R"("full_depth":{"p50_seconds":1.0,"p99_seconds":2.0,"joules_of_example":0.125}}]}]})";

TEST(PolicyResultJson, HasEveryFieldInItsPlace) {
  EXPECT_EQ(dump_json(to_json(full_result())), kPart);
}

TEST(PolicyResultJson, IsReadAsItWasWritten) {
  const PolicyResult read = policy_result_from_json(parse_ordered_json(kPart), "part");
  EXPECT_EQ(dump_json(to_json(read)), kPart);
  EXPECT_EQ(read.score.speed_up_full->difference.high, 0.175);
  EXPECT_FALSE(read.score.same_cost);
  EXPECT_TRUE(std::isnan(read.score.points[0].shuffled_score));
  EXPECT_THAT(read.exit_layers, ElementsAre(1, 1, 2, 1));
  EXPECT_EQ(read.times[0].measured.time.batch1_full_seconds, 4);
}

void expect_refused(const char* pointer, std::optional<OrderedJson> value, const char* message) {
  OrderedJson j = to_json(full_result());
  const OrderedJson::json_pointer at(pointer);
  if (value)
    j[at] = *value;
  else
    j[at.parent_pointer()].erase(at.back());
  try {
    policy_result_from_json(j, "part");
    ADD_FAILURE() << pointer << " is read";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::StartsWith(message));
  }
}

TEST(PolicyResultJson, NamesWhatIsMissingOrWrong) {
  expect_refused("/elue", {}, "part: elue: is missing");
  expect_refused("/points/0/flops", "many", "part: points[0].flops: expected a number or null");
  expect_refused("/points/0/n_exit/1", -1, "part: points[0].n_exit[1]: expected a whole number");
  expect_refused("/times/0/batch1_seconds", {}, "part: times[0].batch1_seconds: is missing");
  expect_refused("/guarantee/naive", 3, "part: guarantee.naive: expected an object, got 3");
  // A point that is not there would be read beyond the end.
  expect_refused("/points", OrderedJson::array(), "part: points: expected at least one");
  expect_refused("/speed_up_full/point", 1, "part: speed_up_full.point: expected below 1, got 1");
  expect_refused("/times/0/point", 7, "part: times.point: expected below 1, got 7");
}

SweptTask swept(const std::string& name, std::vector<PolicyResult> policies) {
  SweptTask task{.name = name,
                 .title = "Of " + name,
                 .metric = "accuracy",
                 .split = "validation",
                 .n_evaluated = 4,
                 .notes = {name + ": a note"},
                 .left_out = {{"train", {{"empty", 1}}}},
                 .policies = std::move(policies)};
  task.answer = answer_of(task.policies);
  return task;
}

TEST(SweepResultJson, RoundTripKeepsEveryByte) {
  PolicyResult exit = full_result();
  exit.score.same_cost = against(0, 0.1);
  SweepResult sweep{.command = "fathom sweep model",
                    .version = "9.9",
                    .model = {{"path", "model"}},
                    .settings = {.pooling = "mean", .seed = 3, .timing = true, .n_thread = 2},
                    .missing = {"wnli: missing: train"},
                    .tasks = {swept("cola", with_fixed({exit}))}};
  sweep.means = means_over(sweep.tasks);
  const OrderedJson json = to_json(sweep);
  EXPECT_FALSE(json["tasks"][0]["policies"][1].contains("elue_replicates"));
  EXPECT_FALSE(json["tasks"][0]["policies"][1].contains("exit_layers")) << "exits.csv has them";
  EXPECT_EQ(json["tasks"][0]["answer"]["verdict"], "better");
  EXPECT_EQ(json["tasks"][0]["answer"]["same_cost"]["policy"], "exit:max-prob");
  EXPECT_EQ(json["settings"]["bootstrap"], 0);
  const std::string text = dump_json(json, 1);
  const SweepResult read = sweep_result_from_json(parse_ordered_json(text), "results.json");
  EXPECT_EQ(dump_json(to_json(read), 1), text);
  EXPECT_EQ(read.tasks[0].answer.verdict, Verdict::kBetter);
  EXPECT_EQ(read.tasks[0].n_layer(), 2u);
}

TEST(SweepResultJson, NamesWhatIsMissingOrWrong) {
  SweepResult sweep{.tasks = {swept("cola", with_fixed({}))}};
  const OrderedJson good = to_json(sweep);
  const auto message = [&](const char* pointer, const OrderedJson& value) -> std::string {
    OrderedJson j = good;
    j[OrderedJson::json_pointer(pointer)] = value;
    try {
      sweep_result_from_json(j, "r.json");
    } catch (const Error& e) {
      return e.what();
    }
    return "none";
  };
  EXPECT_EQ(message("/fathom", "1"), "none");
  EXPECT_EQ(message("/settings/timing", 1),
            "r.json: settings.timing: expected true or false, got 1");
  EXPECT_THAT(message("/tasks/0/answer/verdict", "fine"),
              HasSubstr("r.json: tasks[0].answer.verdict: expected one of better, worse"));
  EXPECT_EQ(message("/tasks/0/policies/0/points/1/high", false),
            "r.json: tasks[0].policies[0].points[1].high: expected a number or null, got false");
  EXPECT_EQ(message("/tasks/0/policies/0/policy", "random"),
            "r.json: cola: policies: expected fixed among them");
}

// An exit by measure that is chosen at point 0, with this quality on calibration rows.
PolicyResult exit_with(const std::string& measure, double calibration_score, double difference) {
  PolicyResult r = result("exit:" + measure, {point("threshold 0.5", calibration_score)});
  r.score.same_cost = against(0, difference);
  return r;
}

TEST(Answer, VerdictSaysWhetherTheIntervalExcludesZero) {
  const auto verdict = [](double difference) {
    return answer_of(with_fixed({exit_with("entropy", 0.5, difference)})).verdict;
  };
  EXPECT_EQ(verdict(0.06), Verdict::kBetter);
  EXPECT_EQ(verdict(-0.06), Verdict::kWorse);
  EXPECT_EQ(verdict(0.04), Verdict::kNoDifference);
  EXPECT_EQ(verdict(0.05), Verdict::kNoDifference) << "0 is in the interval";
  EXPECT_EQ(verdict(std::nan("")), Verdict::kNoDifference);
  EXPECT_EQ(answer_of(with_fixed({})).verdict, Verdict::kNoneAsCheap);
  EXPECT_EQ(name_of(Verdict::kNoDifference), "no difference shown");
}

TEST(Answer, CalibrationRowsChooseTheExitAndNotTheReportedSplit) {
  // The second is far better on the reported split; a file and a baseline do not count.
  PolicyResult file = exit_with("file.policy", 0.99, 0.5), oracle = exit_with("entropy", 0.99, 0.5);
  oracle.policy = "oracle";
  const SweepAnswer a =
      answer_of(with_fixed({exit_with("margin", 0.7, 0.01), exit_with("entropy", 0.6, 0.3),
                            exit_with("max-prob", 0.7, 0.02), file, oracle}));
  ASSERT_TRUE(a.same_cost);
  EXPECT_EQ(a.same_cost->policy, "exit:margin") << "the first of equal ones";
  EXPECT_EQ(a.same_cost->against.difference.value, 0.01);
  EXPECT_EQ(a.verdict, Verdict::kNoDifference);
}

TEST(Answer, SpeedUpsTakeTheCheapestOnCalibrationRows) {
  PolicyResult dear = result("exit:margin", {point("a", 0.5, 0.9)}),
               cheap = result("exit:entropy", {point("a", 0.5, 0.8), point("b", 0.5, 0.2)});
  dear.score.speed_up_best = dear.score.speed_up_full = against(0, 0);
  cheap.score.speed_up_best = against(1, 0);
  const SweepAnswer a = answer_of(with_fixed({dear, cheap}));
  EXPECT_EQ(a.speed_up_best_fixed->policy, "exit:entropy");
  EXPECT_EQ(a.speed_up_best_fixed->against.point, 1u);
  EXPECT_EQ(a.speed_up_full->policy, "exit:margin");
}

TEST(Answer, TellsTheFixedDepthsItIsHeldAgainst) {
  const SweepAnswer a = answer_of(with_fixed({result("embedding", {point("layer 0", 0.25, 0)})}));
  EXPECT_EQ(a.best_fixed_layer, 1u);
  EXPECT_EQ(a.best_fixed_score, 0.5);
  EXPECT_EQ(a.full_depth_score, 0.75);
  EXPECT_EQ(a.embedding_score, 0.25);
  EXPECT_FALSE(answer_of(with_fixed({})).embedding_score);
  EXPECT_THROW(answer_of(std::vector<PolicyResult>{result("random", {point("a", 1)})}), Error);
  std::vector<PolicyResult> wrong = with_fixed({});
  wrong[0].score.best_layer = 3;
  EXPECT_THROW(answer_of(wrong), Error) << "of two layers";
}

TEST(Means, AreOverTheTasksThatHaveThePolicy) {
  PolicyResult one = result("exit:margin", {point("a", 0.5)}), two = one,
               only = result("exit:score", {point("a", 0.5)});
  one.score.elue = {0.2, 0, 0};
  one.score.elue_replicates = {0.1, 0.3};
  one.score.speed_up_full = against(0, 0, 0.05, 2);
  two.score.elue = {0.4, 0, 0};
  two.score.elue_replicates = {0.5, 0.3};
  two.score.speed_up_full = against(0, 0, 0.05, 8);
  const std::vector<SweptTask> tasks = {swept("cola", with_fixed({one})),
                                        swept("mrpc", with_fixed({two, only}))};
  const std::vector<PolicyMean> means = means_over(tasks);
  ASSERT_EQ(means.size(), 3u);
  EXPECT_EQ(means[0].policy, "fixed");
  EXPECT_FALSE(means[0].speed_up_full);
  const PolicyMean& margin = means[1];
  EXPECT_EQ(margin.policy, "exit:margin");
  EXPECT_THAT(margin.tasks, ElementsAre("cola", "mrpc"));
  EXPECT_DOUBLE_EQ(margin.elue.value, 0.3);
  // Replicates by replicates: 0.3 and 0.3.
  EXPECT_DOUBLE_EQ(margin.elue.low, 0.3);
  EXPECT_DOUBLE_EQ(margin.elue.high, 0.3);
  EXPECT_DOUBLE_EQ(*margin.speed_up_full, 4) << "the geometric mean of 2 and 8";
  EXPECT_THAT(means[2].tasks, ElementsAre("mrpc"));
  std::vector<SweptTask> without = tasks;
  without[0].policies[1].score.speed_up_full.reset();
  EXPECT_FALSE(means_over(without)[1].speed_up_full) << "no mean over some of its tasks";
}

// What leaves alike on a task has its figures there.
TEST(Means, TakeAPolicyThatCountsWithAnother) {
  PolicyResult both = result("exit:max-prob", {point("a", 0.5)}),
               margin = result("exit:margin", {point("a", 0.5)});
  both.score.elue = {0.2, 0, 0};
  both.also = {"exit:margin"};
  margin.score.elue = {0.4, 0, 0};
  const std::vector<SweptTask> tasks = {swept("sst2", with_fixed({both})),
                                        swept("trec", with_fixed({margin}))};
  const std::vector<PolicyMean> means = means_over(tasks);
  ASSERT_EQ(means.size(), 3u);
  EXPECT_THAT(means[1].tasks, ElementsAre("sst2"));
  EXPECT_THAT(means[2].tasks, ElementsAre("sst2", "trec"));
  EXPECT_DOUBLE_EQ(means[2].elue.value, 0.3);
}

TEST(Means, RefuseReplicatesOfAnotherNumber) {
  PolicyResult two = result("exit:margin", {point("a", 0.5)});
  std::vector<SweptTask> tasks = {swept("cola", with_fixed({two})),
                                  swept("mrpc", with_fixed({two}))};
  tasks[1].policies[1].score.elue_replicates.pop_back();
  EXPECT_THROW(means_over(tasks), Error);
}

TEST(Files, StandBesideEachOtherResampledTogether) {
  PolicyResult a = result("mask:a.policy", {point("as in the file", 0.75)}),
               b = result("route:b.policy", {point("as in the file", 0.5)});
  a.score.elue_replicates = {0.5, 0.6, 0.7};
  b.score.elue_replicates = {0.25, 0.35, 0.45};
  b.score.elue.value = 0;
  const std::vector<PolicyResult> all = with_fixed({a, b, exit_with("entropy", 1, 1)});
  const std::vector<FileComparison> files = compare_files(all);
  ASSERT_EQ(files.size(), 2u) << "either way, and nothing but files";
  EXPECT_EQ(files[0].file->policy, "mask:a.policy");
  EXPECT_EQ(files[0].than->policy, "route:b.policy");
  EXPECT_DOUBLE_EQ(files[0].gain, 0.25);
  EXPECT_DOUBLE_EQ(files[0].gain_over_curve.value, 0.25);
  EXPECT_NEAR(files[0].gain_over_curve.low, 0.25, 1e-12) << "the same in every resample";
  EXPECT_NEAR(files[1].gain_over_curve.high, -0.25, 1e-12);
}

}  // namespace
}  // namespace fathom::test::sweep_result_test
