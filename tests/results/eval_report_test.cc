// SPDX-License-Identifier: Apache-2.0
// What evaluating and benchmarking become: tables and JSON of results made up here.
#include "results/eval_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "formats/temp_folder.h"
#include "results/bench_report.h"
#include "results/eval_summary.h"
#include "results/eval_verdict.h"
#include "results/preset_report.h"
#include "results/settings_rows.h"

namespace fathom::test::eval_report_test {
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
                  .title = "Word vectors",
                  .place = "some/words.txt.xz",
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

TEST(EvalVerdict, WordsNameLayersIntervalsSavingsAndTheCommand) {
  EvalResult r = two_layers();
  EXPECT_THAT(verdict_words(r), testing::IsEmpty());
  EXPECT_TRUE(to_json(r)["verdict"].is_null());
  r.model_argument = "my model/";
  r.pooling = "last";
  LayerVerdict v;
  v.metric = "spearman";
  v.chosen_on = "1000 train pairs";
  v.best = {3, 0.75, 0.5, 0.875, 0.5};
  v.shallowest = {1, 0.7, 0.5, 0.8, 0.25};
  v.deepest = {4, 0.6, 0.5, 0.7, 1};
  v.difference = -0.05;
  v.low = -0.125;
  v.high = 0.01;
  v.n_compared = 3;
  r.verdict = v;
  const std::vector<std::string> words = verdict_words(r);
  ASSERT_EQ(words.size(), 4u);
  EXPECT_EQ(
      words[0],
      "Best layer: 3, Spearman 0.7500 [0.5000, 0.8750]; layer final has 0.6000. Chosen on 1000 "
      "train pairs.");
  EXPECT_THAT(words[1],
              HasSubstr("Layer 1 is the shallowest that is not worse, as far as 10 pairs"));
  EXPECT_THAT(words[1], HasSubstr("-0.0500 [-0.1250, +0.0100]"));
  EXPECT_THAT(words[1], HasSubstr("corrected for 3 layers"));
  EXPECT_THAT(words[2], HasSubstr("25 % of the FLOPs of layer final and saves 75 %"));
  EXPECT_EQ(words[3],
            "Use it: fathom embed 'my model/' -i texts.txt -o vectors.npy --layers 1 --pool last");
  EXPECT_EQ(to_json(r)["verdict"]["best"]["layer"], "3");
  EXPECT_THAT(to_text(r), testing::EndsWith(words[3] + "\n"));
  EXPECT_THAT(to_text(r, TableForm::kLatex), HasSubstr("\\begin{tabular}"));
  EXPECT_THAT(to_text(r, TableForm::kMarkdown), HasSubstr("| ---: |"));
  r.verdict->on_evaluated = true;
  EXPECT_THAT(verdict_words(r)[0], HasSubstr("expect a little less"));
  r.verdict->shallowest = r.verdict->best;
  EXPECT_THAT(verdict_words(r)[1], HasSubstr("Every shallower layer is worse"));
  EXPECT_EQ(recommendation_json(r, {})["recommended"]["layers"], "3");
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
  EXPECT_THAT(text, testing::EndsWith("words coverage 0.500\nA note.\n"));
  EXPECT_EQ(summary_table(two_layers()).rows().size(), 3u);
}

// Word vectors are called after their file; a system has one colour in all figures.
TEST(EvalReport, ThePageNamesFilesAndKeepsColours) {
  EvalResult r = two_layers();
  r.lead = "spearman";
  r.is_pair = true;
  r.binary = true;
  r.baselines.push_back(
      {.system = "bag", .title = "Token bag", .place = "bag", .coverage = {}, .warning = {}});
  for (const char* metric : {"spearman", "accuracy", "spearman_minus_glove"})
    r.rows.push_back({"bag", std::nullopt, metric, 0.25, 0.125, 0.5});
  r.rows.push_back({"rwkv", 1, "spearman_minus_glove", -0.25, -0.5, 0});
  r.rows.push_back({"rwkv", 1, "accuracy", 0.75, 0.5, 1});
  r.model = {{"ln_x_eps", static_cast<double>(0.00064f)}};
  r.settings["bootstrap"] = {{"n_resample", 2000}, {"interval", "percentile, 95 %"}};
  const std::string page = to_html(r);
  EXPECT_THAT(page, testing::Not(HasSubstr("GloVe")));
  EXPECT_THAT(page, HasSubstr("Spearman minus that of words by depth"));
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">model ln_x_eps</th><td>0.00064</td>"));
  EXPECT_THAT(page, HasSubstr("<td>n_resample: 2000; interval: percentile, 95 %</td>"));
  EXPECT_THAT(page, testing::Not(HasSubstr("asterisk")));
  // The bag is look 2 in all figures, though it is the first reference of the second.
  EXPECT_THAT(page, testing::ContainsRegex("Token bag, 0.2500"));
  size_t n_bag = 0;
  for (size_t at = 0; (at = page.find("<title>Token bag", at)) != page.npos; ++at) {
    const size_t line = page.find("<line", at);
    EXPECT_EQ(page.substr(page.find("class=", line), 11), "class=\"s-2\"");
    ++n_bag;
  }
  EXPECT_GE(n_bag, 6u) << "wide and narrow figures";
  EXPECT_THAT(to_text(r), HasSubstr("vs words"));
  EXPECT_THAT(to_text(r), testing::Not(HasSubstr("ms alone"))) << "a column without a value";
}

TEST(SettingsRows, AreWordsNotJson) {
  const OrderedJson settings = {
      {"threads", 2},
      {"normalize", false},
      {"layers", {0, 1, "final"}},
      {"empty", OrderedJson::array()},
      {"nothing", nullptr},
      {"eps", static_cast<double>(1e-5f)},
      {"share", 0.1},
      {"left_out", {{"train", {{"damaged", 0}, {"empty", 2}}}, {"test", {{"damaged", 1}}}}}};
  const std::vector<std::pair<std::string, std::string>> rows = settings_rows(settings);
  EXPECT_THAT(rows,
              testing::ElementsAre(testing::Pair("threads", "2"), testing::Pair("normalize", "no"),
                                   testing::Pair("layers", "0, 1, final"),
                                   testing::Pair("empty", "none"), testing::Pair("nothing", "none"),
                                   testing::Pair("eps", "1e-05"), testing::Pair("share", "0.1"),
                                   testing::Pair("left_out train", "damaged: 0; empty: 2"),
                                   testing::Pair("left_out test", "damaged: 1")));
}

EvalResult timed() {
  EvalResult r = two_layers();
  r.costs[0].weight_bytes = 4000;
  r.costs[0].seconds_per_pair_batch1 = 0.002;
  r.costs[0].batch1_spread = TimeSpread{0.002, 0.001, 0.004};
  r.costs[0].peak_rss_bytes = 50'000'000;
  return r;
}

TEST(EvalReport, CostsStandBesideEveryFigure) {
  const OrderedJson rows = to_json(rows_table(std::vector{timed()}));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0]["flops_per_pair"], 2e6);
  EXPECT_EQ(rows[0]["weight_bytes"], 4000);
  EXPECT_EQ(rows[0]["seconds_per_pair_batch1"], 0.002);
  EXPECT_EQ(rows[0]["seconds_per_pair_batch1_q1"], 0.001);
  EXPECT_EQ(rows[0]["seconds_per_pair_batch1_q3"], 0.004);
  EXPECT_EQ(rows[0]["peak_rss_bytes"], 50'000'000);
  EXPECT_TRUE(rows[2]["peak_rss_bytes"].is_null());
  const OrderedJson cost = to_json(timed())["cost"];
  EXPECT_EQ(cost[0]["seconds_per_pair_batch1_q3"], 0.004);
  EXPECT_TRUE(cost[0]["seconds_per_pair_packed_q1"].is_null());
}

TEST(EvalReport, MemoryIsAColumnWhereItWasMeasured) {
  EXPECT_EQ(to_json(summary_table(timed()))[0]["peak_mb"], 50);
  EXPECT_FALSE(to_json(summary_table(two_layers()))[0].contains("peak_mb"));
  const std::string text = to_text(timed());
  EXPECT_THAT(text, testing::AllOf(HasSubstr("Peak MB"), HasSubstr("ms alone")));
  EXPECT_THAT(text, testing::Not(HasSubstr("ms packed"))) << "was not measured";
  EXPECT_THAT(text, HasSubstr("at most 150 % of the median apart (1)"));
  EXPECT_EQ(time_words(two_layers()), "");
  const OrderedJson costs = to_json(cost_table(timed()));
  EXPECT_EQ(costs[0]["ms_batch1"], 2);
  EXPECT_EQ(costs[0]["ms_batch1_low"], 1);
  EXPECT_EQ(costs[0]["ms_batch1_high"], 4);
  EXPECT_THAT(to_html(timed()), HasSubstr("Peak MB"));
}

EvalResult of_task(const std::string& task, const std::string& lead, double at_1, double at_final) {
  EvalResult r = two_layers();
  r.task = r.title = task;
  r.lead = lead;
  r.rows = {{"rwkv", 1, lead, at_1, 0, 1},
            {"rwkv", 4, lead, at_final, 0, 1},
            {"glove", std::nullopt, lead, 0.5, 0, 1}};
  return r;
}

TEST(EvalSummary, HasTasksByLayersAndMeansOfOneMetric) {
  const std::vector<EvalResult> reports = {of_task("stsb", "spearman", 0.25, 0.5),
                                           of_task("cola", "matthews", 0.125, 0),
                                           of_task("sickr", "spearman", 0.75, 0.25)};
  const OrderedJson rows = to_json(tasks_table(reports));
  ASSERT_EQ(rows.size(), 4u) << "three tasks, and the mean of the two with Spearman";
  EXPECT_EQ(rows[0]["task"], "stsb");
  EXPECT_EQ(rows[0]["layer_final"], 0.5);
  EXPECT_EQ(rows[1]["metric"], "Matthews");
  EXPECT_EQ(rows[3]["task"], "Mean of 2");
  EXPECT_EQ(rows[3]["layer_1"], 0.5);
  EXPECT_EQ(rows[3]["layer_final"], 0.375);
  EXPECT_EQ(rows[3]["glove"], 0.5);
  const std::string page = to_html(reports, {});
  EXPECT_THAT(page, HasSubstr("Best layer by mean Spearman"));
  EXPECT_THAT(page, HasSubstr("<svg"));
}

TEST(EvalSummary, AMeanMissesWhatATaskMisses) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<EvalResult> reports = {of_task("stsb", "spearman", nan, 0.5),
                                           of_task("sickr", "spearman", 0.75, 0.25)};
  const OrderedJson rows = to_json(tasks_table(reports));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_TRUE(rows[2]["layer_1"].is_null());
  EXPECT_EQ(rows[2]["layer_final"], 0.375);
}

PresetResult paper_again() {
  PresetResult r{.preset = find_preset("arxiv-2502.14620"),
                 .seed = 7,
                 .validation = timed(),
                 .train = timed(),
                 .layers = preset_layers(find_preset("arxiv-2502.14620"), 3, Version::kV6),
                 .left_out = {"The model has 3 blocks: layer 5 is left out."}};
  r.validation.rows.push_back({"rwkv", 2, "spearman", 0.3, 0.2, 0.4});
  r.train.split = "train";
  r.train.rows[0].value = 0.125;
  return r;
}

TEST(PresetReport, StandsBesideThePapersFigures) {
  const PresetResult r = paper_again();
  const OrderedJson rows = to_json(preset_table(r));
  ASSERT_EQ(rows.size(), 8u) << "GloVe, six layers, the last one";
  EXPECT_EQ(rows[0]["paper_spearman"], 0.4326);
  EXPECT_EQ(rows[0]["validation"], 0.5);
  EXPECT_EQ(rows[0]["paper_seconds"], 0.0006);
  EXPECT_EQ(rows[1]["system"], "RWKV layer 1");
  EXPECT_EQ(rows[1]["paper_spearman"], 0.3498);
  EXPECT_EQ(rows[1]["train"], 0.125);
  EXPECT_EQ(rows[1]["validation"], 0.25);
  EXPECT_EQ(rows[1]["validation_hf"], 0.3) << "layer 2: hidden_states[1]";
  EXPECT_EQ(rows[1]["seconds_batch1"], "0.002 / -");
  EXPECT_EQ(rows[1]["peak_mb"], "50 / -");
  EXPECT_TRUE(rows[6]["validation"].is_null()) << "layer 11 of three";
  EXPECT_EQ(rows[7]["paper_seconds"], 0.4141);
  const OrderedJson j = to_json(r);
  EXPECT_EQ(j["preset"]["train_sample"]["seed"], 7);
  EXPECT_EQ(j["preset"]["layers"][1]["hidden_states"], "final");
  EXPECT_EQ(j["rows"].size(), 7u) << "both splits";
  EXPECT_THAT(to_text(r), HasSubstr("layer 5 is left out"));
  EXPECT_THAT(to_text(r, TableForm::kLatex), HasSubstr("\\begin{tabular}"));
  EXPECT_THAT(to_html(r), HasSubstr("The paper leaves open"));
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
}  // namespace fathom::test::eval_report_test
