// SPDX-License-Identifier: Apache-2.0
// Tasks made ready, policy files on them, and advice, without the program.
#include "study/advise_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "study/density_ratio.h"
#include "study/study_bench.h"

namespace fathom::test::advise_task_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Prepared {
  explicit Prepared(StudyBench& bench, const char* task = "mrpc", TaskOptions how = {})
      : options(with_data(std::move(how), bench)),
        source(bench.source()),
        data(find_task(task), options, bench.listener),
        prepared(data, options, source) {}

  static TaskOptions with_data(TaskOptions how, const StudyBench& bench) {
    how.data = bench.data();
    return how;
  }

  TaskOptions options;
  FeatureSource source;
  TaskData data;
  PreparedTask prepared;
};

TEST(PreparedTask, HasVectorsAndHeadsOfEveryLayer) {
  StudyBench bench;
  const Prepared p(bench, "cola", {.max_train = 100, .calibration = 2, .seed = 3});
  EXPECT_EQ(p.data.train.pairs.size(), 100u);
  EXPECT_THAT(p.data.notes, ElementsAre("cola: 100 of 120 training rows, drawn by seed 3"));
  EXPECT_TRUE(bench.notes.empty()) << "rows that were asked for are no news";
  EXPECT_EQ(p.prepared.fits.size(), 5u);
  EXPECT_EQ(p.prepared.train_vectors.shape().n_text, 100u);
  EXPECT_EQ(p.prepared.evaluated_vectors.shape().n_layer, 5u);
  EXPECT_EQ(p.prepared.task.n_layer(), 3u);
  EXPECT_THAT(bench.stages, ElementsAre("cola-train", "cola-validation", "cola heads"));
}

TEST(FilePolicy, AMaskOfAllBlocksAnswersAsAHeadOnTheLastLayer) {
  StudyBench bench;
  Prepared p(bench);
  PolicyFile file = p.source.policy_file({{"data", "nothing"}});
  file.rule = BlockMask::all(3);
  const std::string path = bench.folder.file("all.policy");
  write_policy_file(path, file);
  const FilePolicy policy("mask:" + path, p.prepared, p.source);
  ASSERT_NE(policy.head(), nullptr) << "a mask has no answers of its own";
  EXPECT_EQ(policy.fitted()["data"], "nothing");
  ASSERT_EQ(policy.method().points.size(), 1u);
  const MethodPoint& point = policy.method().points[0];
  EXPECT_EQ(point.evaluated.answer.size(), 120u);
  EXPECT_EQ(point.calibration.answer.size(), p.prepared.rows.calibration.size());
  EXPECT_EQ(point.evaluated.answer,
            predict(p.data.task, p.prepared.evaluated_vectors, 3, p.prepared.fits[3]));
  for (uint32_t layer : point.evaluated.layer) EXPECT_EQ(layer, 3u);
}

TEST(AdviseTask, ChoosesWhatKeepsTheQualityAndWritesIt) {
  StudyBench bench;
  Prepared p(bench);
  const AdvisedPolicy advised = advise_task(p.prepared,
                                            {.policies = {"fixed", "exit:entropy"},
                                             .target = {.max_loss = 0.5},
                                             .n_resample = 50,
                                             .task = p.options,
                                             .command = "a test"},
                                            p.source);
  EXPECT_EQ(advised.methods.size(), 2u);
  EXPECT_EQ(advised.file.fitted["method"], advised.name);
  EXPECT_EQ(advised.file.fitted["setting"], advised.setting);
  EXPECT_EQ(advised.file.fitted["command"], "a test");
  EXPECT_EQ(advised.file.fitted["metric"], "accuracy");
  EXPECT_EQ(advised.setting, advised.point().setting);
  EXPECT_EQ(advised.file.fitted["promise"], "quality");
  EXPECT_EQ(advised.file.fitted["methods"], 2);
  EXPECT_TRUE(advised.file.fitted.contains("shift"));
  if (advised.advice.choice) {
    EXPECT_EQ(advised.name, advised.method()->name);
    EXPECT_LE(advised.advice.chosen_on.loss.value, 0.5);
  }
  const std::string path = bench.folder.file("advised.policy");
  write_policy_file(path, advised.file);
  EXPECT_EQ(read_policy_file(path).kind(), advised.name == "exit:entropy" ? "exit" : "mask");
}

TEST(AdviseTask, WhereNothingIsCheapEnoughItIsFullDepth) {
  StudyBench bench;
  Prepared p(bench);
  // Full depth alone is on offer.
  AdvisedPolicy advised;
  advised.layers = layer_points(p.prepared.task);
  EXPECT_EQ(advised.method(), nullptr);
  EXPECT_EQ(advised.file_policy(), nullptr);
  EXPECT_EQ(&advised.point(), &advised.layers.back());
}

TEST(AdviseTask, MeasuresThatAreOneOnTwoClassesCountOnce) {
  const std::vector<std::string> all = {"fixed",        "exit:max-prob", "exit:margin",
                                        "exit:entropy", "exit:patience", "exit:score"};
  std::vector<std::string> left_out;
  EXPECT_THAT(candidates_for(all, find_task("sst2"), &left_out),
              ElementsAre("fixed", "exit:max-prob", "exit:patience"));
  EXPECT_THAT(left_out,
              ElementsAre("exit:margin is exit:max-prob on two classes and counts once",
                          "exit:entropy is exit:max-prob on two classes and counts once"));
  EXPECT_THAT(
      candidates_for(all, find_task("trec")),
      ElementsAre("fixed", "exit:max-prob", "exit:margin", "exit:entropy", "exit:patience"));
}

// Their thresholds stop every example at the same layer, to the last one.
TEST(AdviseTask, TheyAreOneIndeed) {
  StudyBench bench;
  Prepared p(bench, "cola");
  const Method a = exit_method(p.prepared.task, Measure::kMaxProbability, {}),
               b = exit_method(p.prepared.task, Measure::kMargin, {});
  ASSERT_EQ(a.points.size(), b.points.size());
  for (size_t i = 0; i < a.points.size(); ++i)
    EXPECT_EQ(a.points[i].evaluated.layer, b.points[i].evaluated.layer) << i;
}

// Train and validation rows are alike here: weights are near 1 and nothing lies beyond them.
TEST(AdviseTask, MatchesAShiftAndTellsOfIt) {
  StudyBench bench(400);
  Prepared p(bench, "cola");
  AdviseOptions options;
  options.policies = {"fixed"};
  options.match_shift = true;
  options.task = p.options;
  const AdvisedPolicy advised = advise_task(p.prepared, options, p.source);
  ASSERT_TRUE(advised.matched && advised.after);
  EXPECT_GE(advised.matched->effective, kLeastEffective);
  EXPECT_EQ(advised.uncovered, 0);
  const OrderedJson& told = advised.file.fitted["matched_shift"];
  EXPECT_EQ(told["rows"], advised.matched->rows.size());
  EXPECT_EQ(advised.advice.chosen_on.n, advised.matched->rows.size());
  EXPECT_EQ(told["effective_rows"], advised.matched->effective);
}

TEST(AdviseTask, RefusesToMatchTooFewRows) {
  StudyBench bench;
  Prepared p(bench, "cola");
  AdviseOptions options;
  options.match_shift = true;
  options.task = p.options;
  EXPECT_THAT(error_of([&] { advise_task(p.prepared, options, p.source); }),
              HasSubstr("calibration rows tell as much as"));
}

TEST(AdviseTask, TellsBeforehandWhatTheRowsCanCertify) {
  StudyBench bench;
  Prepared p(bench);
  AdviseOptions options;
  options.policies = {"fixed", "exit:entropy", "exit:margin"};
  options.task = p.options;
  const AdviceResolution r = resolution_before(p.data, options);
  EXPECT_EQ(r.n_available, p.prepared.rows.calibration.size());
  EXPECT_EQ(r.n_test, 2u);
  EXPECT_EQ(r.n_needed, 368u);
}

TEST(AdviseTask, RefusesWhatNoFileCanHold) {
  EXPECT_THAT(parse_candidates("fixed,exit:entropy"), ElementsAre("fixed", "exit:entropy"));
  EXPECT_THAT(error_of([] { parse_candidates("oracle"); }),
              HasSubstr("oracle is a baseline that no file can hold"));
}

}  // namespace
}  // namespace fathom::test::advise_task_test
