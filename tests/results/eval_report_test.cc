// SPDX-License-Identifier: Apache-2.0
// What evaluating and benchmarking become: tables and JSON of results made up here.
#include "results/eval_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "formats/temp_folder.h"
#include "results/bench_report.h"

namespace fathom::test {
namespace {

using testing::HasSubstr;

EvalResult two_layers() {
  EvalResult r;
  r.command = "a test";
  r.settings = {{"data_files", OrderedJson::array()}};
  r.task = "mrpc";
  r.title = "MRPC";
  r.split = "validation";
  r.n_pair = 10;
  r.n_positive = 4;
  r.n_layer = 3;
  r.pooling = "mean";
  r.norm = "none";
  r.scan = "forward";
  r.baselines = {{.system = "glove",
                  .title = "GloVe",
                  .place = "words.txt",
                  .coverage = 0.5,
                  .warning = std::nullopt}};
  r.notes = {"A note."};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  r.rows = {{"rwkv", 1, "spearman", 0.25, 0.125, 0.5},
            {"rwkv", 4, "spearman", nan, nan, nan},
            {"glove", std::nullopt, "spearman", 0.5, 0.25, 0.75}};
  for (const MetricRow& row : r.rows) {
    CostRow cost;
    cost.system = row.system;
    cost.layer = row.layer;
    cost.flops_per_pair = 2e6;
    r.costs.push_back(cost);
  }
  return r;
}

TEST(EvalReport, JsonHoldsEveryFigureAndNullForWhatIsNone) {
  const OrderedJson j = to_json(two_layers());
  EXPECT_EQ(j["command"], "a test");
  EXPECT_EQ(j["glove"]["coverage"], 0.5);
  EXPECT_TRUE(j["bag"].is_null());
  ASSERT_EQ(j["rows"].size(), 3u);
  EXPECT_EQ(j["rows"][0]["layer"], 1);
  EXPECT_EQ(j["rows"][0]["value"], 0.25);
  EXPECT_EQ(j["rows"][1]["layer"], "final");
  EXPECT_TRUE(j["rows"][1]["value"].is_null());
  EXPECT_TRUE(j["rows"][2]["layer"].is_null());
  EXPECT_TRUE(j["rows"][2]["scan"].is_null()) << "word vectors are not scanned";
}

TEST(EvalReport, TextHasTheSummaryTheCoverageAndTheNotes) {
  const std::string text = to_text(two_layers());
  EXPECT_THAT(text, testing::StartsWith("MRPC validation: 10 pairs, 4 positive\n"));
  EXPECT_THAT(text, testing::EndsWith("GloVe coverage 0.500\nA note.\n"));
  EXPECT_EQ(summary_table(two_layers()).rows().size(), 3u);
}

TEST(EvalReport, ASummaryNamesTheTasksThatAreMissing) {
  const TempFolder folder;
  const std::vector<EvalResult> reports = {two_layers()};
  const std::vector<MissingTask> missing = {{"cola", "CoLA", "validation", "single sentences"}};
  OutputSet outputs;
  write_summary(reports, missing, folder.path(), outputs);
  const Json j = Json::parse(read_whole(folder.file("results.json")));
  EXPECT_EQ(j["rows"].size(), 3u);
  EXPECT_THAT(j["tasks"].dump(), HasSubstr("single sentences"));
}

TEST(BenchReport, JsonBeginsWithWhatWasMeasured) {
  BenchReport report;
  report.about["fathom"] = "0";
  report.about["backend"] = "reference";
  report.loads.push_back({.dtype = "f32", .seconds = 1, .weight_bytes = 100});
  BenchResult result;
  result.n_sequence = 2;
  result.n_token = 8;
  BenchSample sample;
  sample.seconds = 0.5;
  result.samples = {sample};
  report.runs.push_back({.dtype = "f32", .workload = "8 tokens", .threads = 1, .result = result});
  const OrderedJson j = to_json(report);
  EXPECT_EQ(j.begin().key(), "fathom");
  EXPECT_EQ(j["tokens_per_second"], 16);
  EXPECT_EQ(j["runs"].size(), 1u);
  EXPECT_THAT(to_text(report), HasSubstr("8 tokens"));
}

}  // namespace
}  // namespace fathom::test
