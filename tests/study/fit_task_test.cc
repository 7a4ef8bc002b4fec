// SPDX-License-Identifier: Apache-2.0
// fit_task() and what follows it, without the program: heads, policy, baselines, answers.
#include "study/fit_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "study/study_bench.h"

namespace fathom::test::fit_task_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(FitTask, FitsHeadsOfEveryLayerAndSaysHow) {
  StudyBench bench;
  FeatureSource source = bench.source();
  const FitData data = fit_data(find_task("mrpc"), bench.data());
  const FitResult result = fit_task(data, {}, {.n_resample = 50, .command = "a test"}, source);
  EXPECT_THAT(result.layers, ElementsAre("0", "1", "2", "3", "final"));
  ASSERT_EQ(result.fits.size(), 5u);
  EXPECT_EQ(result.rows.heads.size(), 84u);
  EXPECT_EQ(result.rows.tune.size(), 12u);
  EXPECT_EQ(result.rows.calibration.size(), 24u);
  for (const LayerFit& fit : result.fits) EXPECT_EQ(fit.answers.size(), 120u);
  ASSERT_EQ(result.spread.size(), 5u);
  EXPECT_EQ(result.spread[0].over_layer_0.value, 0);
  EXPECT_EQ(result.about["command"], "a test");
  EXPECT_EQ(result.about["data"], "mrpc");
  EXPECT_EQ(result.about["rows"]["heads"], 84);
  EXPECT_EQ(result.about["model"]["n_layer"], 3);
  EXPECT_THAT(bench.stages, ElementsAre("mrpc-train", "mrpc-validation", "heads"));
  const size_t best = best_layer(result);
  for (const LayerFit& fit : result.fits)
    EXPECT_LE(fit.scores.front(), result.fits[best].scores.front());
  const OrderedJson curve = curve_json(result);
  ASSERT_EQ(curve.size(), 5u);
  EXPECT_EQ(curve[4]["layer"], "final");
  EXPECT_EQ(curve[1]["c"], result.fits[1].fitted.c);
}

TEST(FitTask, ExitsMeetTheirTargetOnCalibrationRows) {
  StudyBench bench;
  FeatureSource source = bench.source();
  const FitData data = fit_data(find_task("mrpc"), bench.data());
  FitResult result = fit_task(data, {}, {.n_resample = 50}, source);
  const PolicyFile file =
      fit_exits({.target = {ExitTarget::Kind::kLoss, 0.3, 0}}, data, result, source);
  EXPECT_EQ(file.kind(), "exit");
  EXPECT_EQ(file.model, fingerprint_of(bench.open.model));
  EXPECT_LE(file.fitted["calibration"]["mean_loss"].get<double>(), 0.3);
  EXPECT_EQ(file.fitted["calibration"]["n_calibration"], 24);
  EXPECT_EQ(file.fitted["validation"]["n"], 120);
  EXPECT_EQ(file.fitted["curve"].size(), 5u);
  const auto& rule = std::get<ExitRule>(file.rule);
  EXPECT_TRUE(rule.pair);
  EXPECT_EQ(rule.n_class, 2u);
  ASSERT_EQ(rule.exits.size(), 3u);
  EXPECT_EQ(rule.exits.back().layer, 3u);
}

TEST(FitTask, ASecondFitReadsTheVectorsOfTheFirst) {
  StudyBench bench;
  const FitData data = fit_data(find_task("cola"), bench.data());
  FitResult first = [&] {
    FeatureSource source = bench.source();
    return fit_task(data, {}, {.n_resample = 10}, source);
  }();
  bench.stages.clear();
  bench.n_step = 0;
  FeatureSource source = bench.source();
  const FeatureCache again = source.vectors("again", data.texts);
  EXPECT_TRUE(again.complete());
  EXPECT_EQ(bench.n_step, 0u) << "nothing was left to do";
  EXPECT_EQ(again.path(), first.train->path());
}

TEST(FitTask, BaselinesGetHeadsOfTheSameProtocol) {
  StudyBench bench;
  FeatureSource source = bench.source();
  FitData data = fit_data(find_task("cola"), bench.data());
  const std::string glove = bench.folder.write("words.txt",
                                               "red 1 0\nblue 0 1\ncat 1 1\ndog 2 1\naa -1 3\n"
                                               "sun 1 2\nrain 0 3\nruns 3 0\nsleeps 1 4\n");
  const std::vector<FitBaseline> baselines = open_baselines({{.place = glove}}, data);
  ASSERT_EQ(baselines.size(), 1u);
  const FitResult result = fit_task(data, baselines, {.n_resample = 10}, source);
  ASSERT_EQ(result.baselines.size(), 1u);
  EXPECT_EQ(result.baselines[0].name, "glove");
  EXPECT_EQ(result.baselines[0].fit.answers.size(), 120u);
  EXPECT_EQ(result.spread.size(), 6u);
  EXPECT_EQ(result.about["baselines"][0]["file"], glove);
  EXPECT_EQ(result.about["baselines"][0]["dim"], 2);
}

TEST(FitTask, TextsWithoutLabelsGetPostProcessingAndExitsByTheirVectors) {
  StudyBench bench;
  FeatureSource source = bench.source();
  const FitData data = fit_data(read_sentences(bench.texts, "", Empty::kSkip), bench.texts);
  FitResult result = fit_task(data, {}, {.post = "centre"}, source);
  EXPECT_EQ(result.task, nullptr);
  EXPECT_TRUE(result.spread.empty());
  EXPECT_THAT(bench.stages, ElementsAre("texts"));
  const PolicyFile file =
      fit_exits({.target = {ExitTarget::Kind::kSpeed, 1.2, 0}}, data, result, source);
  EXPECT_EQ(std::get<ExitRule>(file.rule).measure, Measure::kSaturation);
  EXPECT_FALSE(file.fitted.contains("curve"));
}

TEST(FitTask, AnswersRowsWithoutLabels) {
  StudyBench bench;
  bench.folder.write("data/glue/CoLA/test.tsv", "index\tsentence\n0\tred cat\n1\tblue dog aa\n");
  FeatureSource source = bench.source();
  const Task& cola = find_task("cola");
  const FitData data = fit_data(cola, bench.data());
  const FitResult result = fit_task(data, {}, {.n_resample = 10}, source);
  std::vector<std::string> notes;
  const std::vector<Dataset> asked = load_submissions(cola, bench.data(), notes);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(notes.empty());
  const std::vector<double> answers = answer(asked[0], result, source);
  ASSERT_EQ(answers.size(), 2u);
  for (double a : answers) EXPECT_TRUE(a == 0 || a == 1) << a;
  EXPECT_TRUE(load_submissions(find_task("mrpc"), bench.data(), notes).empty());
  EXPECT_THAT(notes, Contains(HasSubstr("missing: no submission for mrpc")));
}

TEST(FitTask, SaysWhatDataIsMissing) {
  StudyBench bench;
  std::filesystem::remove(bench.folder.file("data/glue/MRPC/dev.tsv"));
  const FitData data = fit_data(find_task("mrpc"), bench.data());
  EXPECT_FALSE(data.has_evaluated);
  EXPECT_THAT(data.notes, Contains("missing: validation"));
  EXPECT_THAT(error_of([&] { fit_data(find_task("rte"), bench.data()); }),
              HasSubstr("rte: missing: train ("));
}

}  // namespace
}  // namespace fathom::test::fit_task_test
