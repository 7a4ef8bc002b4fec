// SPDX-License-Identifier: Apache-2.0
// What fitting, pruning and routing become: tables, text, JSON, files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "results/fit_report.h"
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
  EXPECT_EQ(to_json(comparison_table(result))[1]["mask"], "whole model");
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
  const OrderedJson j = to_json(result, corpus, "r.policy");
  EXPECT_EQ(j["router"], "centroid");
  EXPECT_EQ(j["output"], "r.policy");
}

}  // namespace
}  // namespace fathom::test::study_reports_test
