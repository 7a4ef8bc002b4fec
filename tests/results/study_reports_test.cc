// SPDX-License-Identifier: Apache-2.0
// What fitting, pruning and routing become: tables, text, JSON, files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "results/closing.h"
#include "results/fit_report.h"
#include "results/policy_report.h"
#include "results/prune_report.h"
#include "results/route_report.h"
#include "study/fit_task.h"
#include "study/study_bench.h"

namespace fathom::test::study_reports_test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(FitReport, HasALineALayerAndMarksWhatIsMissing) {
  StudyBench bench;
  FeatureSource source = bench.source();
  const FitData data = fit_data(find_task("mrpc"), bench.data());
  const FitResult result = fit_task(data, {}, {.n_resample = 20}, source);
  const Table table = curve_table(result);
  ASSERT_EQ(table.rows().size(), 5u);
  const OrderedJson rows = to_json(table);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(rows[i]["layer"], result.layers[i]);
    EXPECT_EQ(rows[i][std::string(name_of(result.task->metrics.front()))],
              result.spread[i].score.value);
  }
  EXPECT_TRUE(rows[0]["minus_layer_0"].is_null()) << "the layer itself";
}

TEST(FitReport, WritesEveryHeadWithWhatWasFound) {
  StudyBench bench;
  FeatureSource source = bench.source();
  const FitData data = fit_data(find_task("mrpc"), bench.data());
  const FitResult result = fit_task(data, {}, {.post = "scale", .n_resample = 20}, source);
  const std::filesystem::path path = bench.folder.file("heads.safetensors");
  AtomicFile out(path);
  write_heads(out, result);
  out.commit();
  const Checkpoint file = Checkpoint::open(path);
  for (const std::string& layer : result.layers)
    EXPECT_NE(file.find(concat("layer.", layer, ".head.weight")), nullptr) << layer;
  const Json about = Json::parse(file.attributes().at("fathom_heads").get<std::string>());
  EXPECT_EQ(about["n_class"], 2);
  EXPECT_EQ(about["post"], "scale");
  EXPECT_EQ(about["curve"].size(), 5u);
}

TEST(FitReport, SubmissionsHoldLabelsOrScoresWithinTheirRange) {
  EXPECT_EQ(submission_text(find_task("stsb"), std::vector<double>{5.7, 1.23456}),
            "index\tprediction\n0\t5.000\n1\t1.235\n");
  EXPECT_EQ(submission_text(find_task("rte"), std::vector<double>{0}),
            concat("index\tprediction\n0\t", find_task("rte").labels[0], "\n"));
}

TEST(Closing, WarnsOfWhatWasLostAndOfWhatWasNotSaved) {
  PolicyFile file;
  file.model = {"6", 2, 8, "0"};
  ExitRule rule;
  rule.exits = {{.layer = 1, .threshold = 0.5}, {.layer = 2}};
  file.rule = rule;
  file.fitted["calibration"] = {{"target", "mean loss at most 0.05 on calibration"},
                                {"n_calibration", 24},
                                {"mean_loss", 0.01},
                                {"flops_share", 0.5}};
  const Task& task = find_task("mrpc");
  const ExitTarget target{ExitTarget::Kind::kLoss, 0.05, 0};
  const CommandPlaces places{"my model", "p.policy"};
  // Without a split that did not choose.
  Closing closing = closing_of(file, target, &task, places);
  EXPECT_THAT(closing.warnings, testing::ElementsAre(HasSubstr("24 calibration rows alone")));
  EXPECT_THAT(closing.effect, HasSubstr("which chose it: saves 50.0 % of the FLOPs"));
  file.fitted["calibration"]["n_calibration"] = 500;
  file.fitted["validation"] = {{"n", 100},
                               {"flops_share", 1.0},
                               {"mean_loss", 0.25},
                               {"accuracy", 0.5},
                               {"accuracy_full_depth", 0.75}};
  closing = closing_of(file, target, &task, places);
  EXPECT_THAT(closing.warnings,
              testing::ElementsAre(HasSubstr("mean loss is 0.2500, more than the 0.05"),
                                   HasSubstr("nothing is saved: 100.0 %")));
  EXPECT_EQ(
      closing.effect,
      "On 100 rows of validation, not used for the choice: saves 0.0 % of the FLOPs, mean loss "
      "0.2500; accuracy 0.5000, at full depth 0.7500.");
  EXPECT_EQ(closing.use,
            "fathom classify 'my model' --policy p.policy -i pairs.csv --text1 a --text2 b -o "
            "answers.csv");
  EXPECT_EQ(closing_of(file, target, nullptr, places).use,
            "fathom embed 'my model' -i texts.txt -o vectors.npy --depth p.policy");
  EXPECT_THAT(to_text(closing), testing::EndsWith("\nUse it: " + closing.use + "\n"));
  EXPECT_EQ(to_json(closing)["warnings"].size(), 2u);
}

TEST(Closing, LossesBelowZeroAreGains) {
  EXPECT_EQ(loss_words(0.0276, 2), "loses 2.76 %");
  EXPECT_EQ(loss_words(-0.0276, 2), "gains 2.76 %");
  EXPECT_EQ(loss_words(-1.6e-17, 2), "loses 0.00 %");
  EXPECT_EQ(warn_of_no_saving(0.5), "");
  EXPECT_NE(warn_of_no_saving(1.02), "");
  EXPECT_EQ(warn_of_few_rows(100, "texts"), "");
}

TEST(PolicyReport, TablesInsteadOfJson) {
  PolicyFile file;
  file.model = {"6", 2, 8, "0"};
  file.rule = BlockMask::all(2);
  file.fitted = {
      {"data", "trec"},
      {"classes", {"ABBR", "DESC"}},
      {"curve",
       {{{"accuracy", 0.123456789}, {"accuracy_high", 0.25}, {"accuracy_low", 0.1}, {"layer", "0"}},
        {{"layer", "final"}, {"accuracy", nullptr}, {"c", 1}}}}};
  const std::string text = to_text(file);
  EXPECT_THAT(text, HasSubstr("fitted     classes: ABBR, DESC\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\ncurve\nlayer +accuracy\n-+ +-+\n0 +0.1235 \\[0.1000, "
                                           "0.2500\\]\nfinal +-\n$"));
  EXPECT_THAT(text, Not(HasSubstr("{")));
}

TEST(PruneReport, TellsTheMaskBesideItsControls) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  const PruneResult result = prune(corpus, {.size = {.n_remove = 2}});
  const std::string text = to_text(result, corpus, "p.policy");
  EXPECT_THAT(text, HasSubstr("tried on 20 texts, figures on 15 others"));
  EXPECT_THAT(text, HasSubstr("p.policy: " + pattern_of(result.search.mask)));
  EXPECT_EQ(steps_table(result).rows().size(), 2u);
  const OrderedJson j = to_json(result, corpus, "p.policy");
  EXPECT_EQ(j["output"], "p.policy");
  EXPECT_EQ(j["blocks"], pattern_of(result.search.mask));
  EXPECT_EQ(j["found"]["loss"], result.found.held_out);
  EXPECT_EQ(j["steps"].size(), 2u);
  const OrderedJson lines = to_json(comparison_table(result));
  EXPECT_EQ(lines[1]["mask"], "whole model");
  EXPECT_EQ(lines[1]["loss"], 0) << "not -1.6e-17";
  const Closing closing = closing_of(result, corpus, {"m", "p.policy"});
  EXPECT_THAT(closing.chosen, HasSubstr(pattern_of(result.search.mask)));
  EXPECT_THAT(closing.effect, testing::StartsWith("On 15 texts, not used for the choice: saves "));
  EXPECT_EQ(closing.use, "fathom embed m -i texts.txt -o vectors.npy --depth p.policy");
  EXPECT_THAT(closing.warnings, testing::Contains(HasSubstr("chosen on 20 texts alone")));
}

TEST(PruneReport, AControlHasNoSteps) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  const PruneResult result =
      prune(corpus, {.size = {.n_remove = 1}, .method = PruneMethod::kRandom});
  if (result.search.steps.empty()) {
    EXPECT_THAT(to_text(result, corpus, "p"), Not(HasSubstr("Removed")));
  }
  EXPECT_THAT(to_text(result, corpus, "p"), HasSubstr("random: 20 masks"));
}

TEST(RouteReport, TellsMasksAndGains) {
  StudyBench bench(12);
  MaskCorpus corpus = bench.corpus();
  const RouteResult result =
      route(corpus, {.size = {.keep = 0.6}, .n_cluster = 2, .n_resample = 20});
  const OrderedJson masks = to_json(mask_table(result));
  EXPECT_EQ(masks, result.file.fitted["masks"]) << "the file holds the table";
  const OrderedJson lines = to_json(comparison_table(result));
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_TRUE(lines[0]["gain"].is_null());
  EXPECT_EQ(lines[1]["gain"], result.lines[1].gain.gain);
  EXPECT_THAT(to_text(result, corpus, "r.policy"), HasSubstr("fitted on 20 texts"));
  const Closing closing = closing_of(result, corpus, {"m", "r.policy"});
  EXPECT_THAT(closing.effect, HasSubstr("less than one mask for all"));
  EXPECT_EQ(closing.use, "fathom embed m -i texts.txt -o vectors.npy --depth r.policy");
  RouteResult equal = result;
  for (BlockMask& mask : equal.fit.rule.masks) mask = equal.fit.global.mask;
  EXPECT_THAT(closing_of(equal, corpus, {"m", "r.policy"}).warnings,
              testing::Contains(HasSubstr("all 2 masks are equal")));
  const OrderedJson j = to_json(result, corpus, "r.policy");
  EXPECT_EQ(j["router"], "centroid");
  EXPECT_EQ(j["output"], "r.policy");
}

}  // namespace
}  // namespace fathom::test::study_reports_test
