// SPDX-License-Identifier: Apache-2.0
// fathom fit on small tasks made here: policy, heads, submission, cached vectors, refusals.
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "cli/models.h"
#include "eval/small_glue.h"

namespace fathom::test::fit_test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// A data folder with MRPC, CoLA and STS-B of `n` training rows, and a model.
class Workbench {
 public:
  explicit Workbench(size_t n = 120) : model(byte_model(folder)) {
    write_glue(folder, n, [](size_t i) { return i % 2; });
    folder.write("data/glue/CoLA/test.tsv", "index\tsentence\n0\tred cat\n1\tblue dog aa\n");
  }

  Outcome fit(std::vector<std::string> flags) const {
    flags.insert(flags.begin(), {"fit", model});
    flags.insert(flags.end(), {"--data", folder.file("data")});
    return run_fathom(flags);
  }
  std::string file(const char* name) const { return folder.file(name); }

  TempFolder folder;
  std::string model;
};

// What a policy or heads file says about itself.
Json about(const std::string& path, const char* key) {
  const Checkpoint file = Checkpoint::open(path);
  return Json::parse(file.attributes().at(key).get<std::string>());
}

// Found out after the heads were fitted and their figures printed.
void expect_refused_late(const Outcome& run, const std::string& name) {
  EXPECT_EQ(run.exit_code, kDataError) << run.err;
  EXPECT_THAT(run.err, HasSubstr(name));
}

TEST(Fit, WritesAPolicyAndHeads) {
  const Workbench bench;
  const Outcome run = bench.fit({"--task", "mrpc", "-o", bench.file("p.policy"), "--heads",
                                 bench.file("h.safetensors"), "--max-loss", "0.3"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr("heads on 84 rows, figures on 120 of validation"));
  const std::vector<std::string> lines = lines_of(run.out);
  ASSERT_GT(lines.size(), 4u);
  EXPECT_THAT(
      lines[lines.size() - 3],
      ContainsRegex("^Chosen: exits at 3 of 3 layers by entropy, threshold .*, for mean loss "
                    "at most 0.3 on calibration, on 24 calibration rows\\.$"));
  EXPECT_THAT(
      lines[lines.size() - 2],
      ContainsRegex("^On 120 rows of validation, not used for the choice: saves .* % of the "
                    "FLOPs, mean loss .*; accuracy .*, at full depth "));
  EXPECT_THAT(lines.back(), HasSubstr("Use it: fathom classify "));
  EXPECT_THAT(lines.back(), HasSubstr("p.policy -i pairs.csv --text1 a --text2 b -o answers.csv"));
  EXPECT_THAT(run.out, HasSubstr("WARNING: chosen on 24 calibration rows alone"));
  EXPECT_THAT(run.out, Not(HasSubstr("{\"")));
  const Json policy = about(bench.file("p.policy"), "fathom_policy");
  EXPECT_EQ(policy["kind"], "exit");
  EXPECT_EQ(policy["exit"]["measure"], "entropy");
  EXPECT_TRUE(policy["exit"]["pair"]);
  EXPECT_EQ(policy["exit"]["exits"].size(), 3u);
  const Json& fitted = policy["fitted"];
  EXPECT_EQ(fitted["rows"], (Json{{"heads", 84}, {"tune", 12}, {"calibration", 24}}));
  EXPECT_LE(fitted["calibration"]["mean_loss"].get<double>(), 0.3);
  EXPECT_EQ(fitted["validation"]["n"], 120);
  for (const char* key : {"accuracy", "f1", "accuracy_full_depth", "flops_share"})
    EXPECT_TRUE(fitted["validation"][key].is_number()) << key;
  EXPECT_EQ(fitted["curve"].size(), 5u);

  const StoredArrays heads = read_arrays(bench.file("h.safetensors"));
  EXPECT_EQ(heads.at("layer.2.head.weight").shape, (std::vector<size_t>{1, 49}));
  EXPECT_EQ(heads.at("layer.final.prototypes.mean").shape, (std::vector<size_t>{2, 49}));
  EXPECT_TRUE(heads.contains("layer.0.head.temperature"));
  EXPECT_EQ(about(bench.file("h.safetensors"), "fathom_heads")["features"], "symmetric-pair");
}

// The second run finds all vectors and changes none of them; results are the same.
TEST(Fit, StartsFromCachedVectors) {
  const Workbench bench;
  const std::vector<std::string> flags = {
      "--task",     "cola", "-o", bench.file("p.policy"), "--features", bench.file("features"),
      "--max-loss", "0.2"};
  ASSERT_EQ(bench.fit(flags).exit_code, 0);
  const std::string policy = read_whole(bench.file("p.policy"));
  std::vector<std::pair<std::filesystem::path, std::filesystem::file_time_type>> files;
  for (const auto& entry : std::filesystem::directory_iterator(bench.file("features")))
    files.emplace_back(entry.path(), entry.last_write_time());
  EXPECT_EQ(files.size(), 1u) << "train and validation hold the same texts here";
  ASSERT_EQ(bench.fit(flags).exit_code, 0);
  EXPECT_EQ(read_whole(bench.file("p.policy")), policy);
  for (const auto& [path, time] : files) EXPECT_EQ(std::filesystem::last_write_time(path), time);
}

TEST(Fit, EveryMeasureAndTarget) {
  const Workbench bench;
  const auto fits = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"-o", bench.file("p.policy"), "--features", bench.file("features")});
    const Outcome run = bench.fit(flags);
    EXPECT_EQ(run.exit_code, 0) << flags[3] << ": " << run.err;
    return about(bench.file("p.policy"), "fathom_policy");
  };
  for (const char* measure : {"max-prob", "margin", "entropy", "patience", "pcee", "f-pabee",
                              "saturation", "score", "prototype", "learned"})
    EXPECT_EQ(
        fits({"--task", "mrpc", "--measure", measure, "--max-loss", "0.4"})["exit"]["measure"],
        measure);
  EXPECT_EQ(fits({"--task", "stsb", "--risk-control", "0.5"})["exit"]["n_class"], 1);
  fits({"--task", "cola", "--target-speed", "1.1", "--post", "centre"});
  fits({"--task", "mrpc", "--guarantee", "0.5,0.2", "--loss", "risk"});
  EXPECT_EQ(fits({"--task", "cola", "--max-loss", "1", "--exits", "2", "--measure",
                  "max-prob"})["exit"]["exits"]
                .size(),
            2u);
}

// "aa" ends the sentences of one class and no others: vectors that know this word alone are always
// right. The layers' figures are those of a run without baselines.
TEST(Fit, BaselinesGetHeadsToo) {
  const Workbench bench;
  const std::string glove = bench.folder.write("words.txt", "aa 1 0\nbb 0 1\n"),
                    heads = bench.file("h.safetensors");
  const auto fit = [&](const std::vector<std::string>& more) {
    std::vector<std::string> flags = {"--task", "cola", "--heads", heads, "--calibration", "0"};
    flags.insert(flags.end(), more.begin(), more.end());
    const Outcome run = bench.fit(flags);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return run.out;
  };
  fit({});
  const Json plain = about(heads, "fathom_heads");
  EXPECT_FALSE(plain.contains("baselines"));
  const std::string out = fit({"--glove", glove, "--bag", bench.model});
  EXPECT_THAT(out, testing::AllOf(HasSubstr("words"), HasSubstr("bag")));
  const Json both = about(heads, "fathom_heads");
  EXPECT_EQ(both["curve"], plain["curve"]);
  ASSERT_EQ(both["baselines"].size(), 2u);
  const Json& words = both["baselines"][0];
  EXPECT_EQ(words["system"], "glove");
  EXPECT_EQ(words["file"], glove);
  EXPECT_EQ(words["matthews"], 1.0);
  EXPECT_EQ(words["matthews_low"], 1.0);
  // The table that layer 0 is made of, before ln0.
  const Json& bag = both["baselines"][1];
  EXPECT_EQ(bag["system"], "bag");
  EXPECT_GT(bag["matthews"], 0.9);
  // Where the sentences of the classes do not differ in known words, there is nothing to learn.
  EXPECT_THAT(fit({"--glove", bench.folder.write("none.txt", "zz 1 0\n")}),
              testing::AllOf(HasSubstr("WARNING: none knows 0 of"),
                             HasSubstr("none, knows hardly a word!")));
  EXPECT_EQ(about(heads, "fathom_heads")["baselines"][0]["matthews"], 0.0);

  expect_refused(bench.fit({"--task", "cola", "--heads", heads, "--bag", glove}), kDataError,
                 {"words.txt"});
  expect_refused(
      run_fathom({"fit", bench.model, "--texts", glove, "--heads", heads, "--bag", bench.model}),
      kUsageError, {"--bag, --glove: need a --task"});
}

// 95 % intervals of the leading metric and of its difference to layer 0, which is paired: that of a
// layer with layer 0's answers would be 0 to 0.
TEST(Fit, FiguresHaveIntervals) {
  const Workbench bench;
  // A fifth of the labels says the opposite of the sentence's ending.
  write_glue(bench.folder, 120, [](size_t i) { return i % 2 ^ (i % 5 == 0); });
  const auto curve = [&](const char* resamples) {
    const Outcome run =
        bench.fit({"--task", "cola", "--heads", bench.file("h.safetensors"), "--calibration", "0",
                   "--features", bench.file("features"), "--bootstrap", resamples});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("minus layer 0"));
    return about(bench.file("h.safetensors"), "fathom_heads")["curve"];
  };
  const Json rows = curve("500");
  ASSERT_EQ(rows.size(), 5u);
  const auto number = [](const Json& row, const char* key) { return row.at(key).get<double>(); };
  for (const Json& row : rows) {
    const double score = number(row, "matthews"), low = number(row, "matthews_low"),
                 high = number(row, "matthews_high");
    EXPECT_LT(low, score);
    EXPECT_GT(high, score);
    EXPECT_GT(high - low, 0.05);
    EXPECT_LT(high - low, 0.5) << "a standard error is about 1 / sqrt(120)";
    const Json& over = row["minus_layer_0"];
    EXPECT_NEAR(number(over, "value"), score - number(rows[0], "matthews"), 1e-12);
    EXPECT_LE(number(over, "low"), number(over, "value"));
    EXPECT_GE(number(over, "high"), number(over, "value"));
    // Paired: answers that agree on most examples differ by less than two samples would.
    EXPECT_LT(number(over, "high") - number(over, "low"), high - low);
  }
  EXPECT_EQ(rows[0]["minus_layer_0"], (Json{{"value", 0.0}, {"low", 0.0}, {"high", 0.0}}));
  EXPECT_EQ(curve("500"), rows);
  EXPECT_NE(curve("100"), rows);
}

TEST(Fit, LabelFreePolicyServesEmbed) {
  const Workbench bench;
  std::string texts;
  for (size_t i = 0; i < 80; ++i) texts += sentence(i) + "\n";
  const std::string input = bench.folder.write("texts.txt", texts);
  const Outcome run =
      run_fathom({"fit", bench.model, "--texts", input, "-o", bench.file("any.policy"), "--post",
                  "centre", "--max-loss", "0.4"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  run_ok({"embed", bench.model, "-i", input, "-o", bench.file("e.safetensors"), "--depth",
          "exit:" + bench.file("any.policy")});
  EXPECT_TRUE(std::filesystem::exists(bench.file("e.safetensors")));
}

TEST(Fit, JsonIsBehindItsFlag) {
  const Workbench bench;
  const Outcome run = bench.fit({"--task", "cola", "-o", bench.file("p.policy"), "--heads",
                                 bench.file("h.safetensors"), "--max-loss", "1", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json json = Json::parse(run.out);
  EXPECT_EQ(json["output"], bench.file("p.policy"));
  EXPECT_EQ(json["curve"].size(), 5u);
  EXPECT_EQ(json["fitted"]["calibration"]["n_calibration"], 24);
  EXPECT_THAT(json["closing"]["use"].get<std::string>(), HasSubstr("-i texts.txt -o answers.csv"));
}

// Heads alone: the best layer, which the split that is reported chose.
TEST(Fit, HeadsAloneEndWithTheBestLayer) {
  const Workbench bench;
  const std::vector<std::string> lines = lines_of(
      bench.fit({"--task", "cola", "--heads", bench.file("h.safetensors"), "--calibration", "0"})
          .out);
  ASSERT_GT(lines.size(), 3u);
  EXPECT_THAT(lines[lines.size() - 3],
              ContainsRegex("^Chosen: layer .*, the best of 5 by matthews"));
  EXPECT_THAT(lines[lines.size() - 2], HasSubstr("expect a little less"));
  EXPECT_THAT(lines.back(), ContainsRegex("^Use it: fathom embed .* --layers "));
}

TEST(Fit, WritesASubmission) {
  const Workbench bench;
  const Outcome run = bench.fit({"--task", "cola", "--heads", bench.file("h.safetensors"),
                                 "--calibration", "0", "--submit", bench.file("submit")});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const std::vector<std::string> lines = lines_of(read_whole(bench.file("submit/CoLA.tsv")));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "index\tprediction");
  EXPECT_THAT(lines[1], testing::MatchesRegex("0\t[01]"));
}

TEST(Fit, RefusesWhatItCannotUse) {
  const Workbench bench;
  const std::string out = bench.file("p.policy");
  const auto usage = [&](std::vector<std::string> flags, const std::string& name) {
    expect_refused(bench.fit(flags), kUsageError, {name});
  };
  usage({"-o", out}, "--task NAME, --task-file FILE or --texts FILE");
  usage({"--task", "mrpc", "--texts", "x", "-o", out}, "either --task");
  usage({"--task", "mrpc"}, "--output FILE");
  usage({"--task", "nli", "-o", out}, "task nli is not known");
  usage({"--task", "mrpc", "-o", out, "--measure", "luck"}, "expected one of max-prob");
  usage({"--task", "mrpc", "-o", out, "--guarantee", "0.05"}, "two numbers");
  usage({"--task", "mrpc", "-o", out, "--guarantee", "0,0.05"}, "two numbers");
  usage({"--task", "mrpc", "-o", out, "--post", "pca"}, "post-processing 'pca'");
  usage({"--task", "mrpc", "-o", out, "--loss", "big"}, "--loss");
  usage({"--task", "stsb", "-o", out, "--loss", "risk"}, "--loss: expected consistency");
  usage({"--task", "mrpc", "-o", out, "--exits", "final"}, "--exits");
  usage({"--task", "mrpc", "-o", out, "--feature-dtype", "f16"}, "f32 or bf16");
  expect_refused(bench.fit({"--task", "rte", "-o", out}), kDataError, {"rte: missing: train"});
  expect_refused(bench.fit({"--task", "sts12", "-o", out}), kDataError, {"missing: train"});
  EXPECT_FALSE(std::filesystem::exists(out));
  expect_refused_late(bench.fit({"--task", "stsb", "-o", out, "--measure", "entropy"}),
                      "entropy needs heads of at least 2 classes");
  expect_refused_late(bench.fit({"--task", "cola", "-o", out, "--measure", "score"}),
                      "score compares the two sentences of a pair");
  expect_refused_late(bench.fit({"--task", "cola", "-o", out, "--calibration", "0"}),
                      "--calibration 0");
  // 24 calibration rows cannot certify a loss of 1 %.
  expect_refused_late(bench.fit({"--task", "mrpc", "-o", out, "--guarantee", "0.01,0.01"}),
                      "needs 459 calibration rows at least, and there are 24");
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace fathom::test::fit_test
