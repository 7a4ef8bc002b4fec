// SPDX-License-Identifier: Apache-2.0
// Models with weights that are not finite: every command says so, and none writes vectors of them
// unless it is told to.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "cli/models.h"
#include "eval/small_glue.h"
#include "formats/npy.h"

namespace fathom::test::nonfinite_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A byte model of 3 layers. Block 2 of it is not finite, or the embedding of the byte 'X' alone.
class Broken {
 public:
  explicit Broken(float value = std::numeric_limits<float>::quiet_NaN()) {
    SyntheticModel block = make_model(byte_shape()), byte = block;
    set(block, "blocks.1.ffn.value.weight", 5, value);
    set(byte, "emb.weight", size_t{'X'} * 24 + 3, value);
    model = folder.file("block.safetensors");
    x_model = folder.file("byte.safetensors");
    write_arrays(model, block.arrays);
    write_arrays(x_model, byte.arrays);
  }
  std::string file(const char* name) const { return folder.file(name); }

  TempFolder folder;
  std::string model, x_model;

 private:
  static void set(SyntheticModel& m, const std::string& name, size_t at, float value) {
    for (Array& a : m.arrays)
      if (a.name == name) a.values.at(at) = value;
  }
};

TEST(NonFinite, EmbedStopsAndNamesLineLayerAndBlock) {
  const Broken b;
  for (const char* ending : {".npy", ".safetensors", ".jsonl", ".csv"}) {
    const std::string out = b.file("e") + ending;
    expect_refused(
        run_fathom({"embed", b.model, "-o", out, "--layers", "1,2,3"}, {.input = "a b\nc\n"}),
        kDataError,
        {"standard input, line 1", "layer 2", "block 2 is the first", "--allow-nonfinite"});
    EXPECT_FALSE(std::filesystem::exists(out));
    EXPECT_FALSE(std::filesystem::exists(out + ".json"));
  }
  // Layer 1 is whole.
  run_ok({"embed", b.model, "-o", b.file("1.npy"), "--layers", "0,1"}, {.input = "a b\nc\n"});
}

TEST(NonFinite, EmbedNamesTheFirstTextOfMany) {
  const Broken b;
  std::string lines;
  for (int i = 1; i <= 3000; ++i) lines += i == 2500 || i == 2700 ? "aXb\n" : "some words\n";
  const std::string input = b.folder.write("lines.txt", lines);
  for (const std::vector<std::string>& how :
       std::vector<std::vector<std::string>>{{},
                                             {"--normalize"},
                                             {"--pool", "max"},
                                             {"--scan", "both"},
                                             {"--batch-tokens", "7"},
                                             {"--pool", "state", "--layers", "1,3"}}) {
    std::vector<std::string> all = {"embed", b.x_model, "-i", input, "-o", b.file("e.npy")};
    all.insert(all.end(), how.begin(), how.end());
    expect_refused(run_fathom(all), kDataError, {"lines.txt, line 2500", "layer 0"});
  }
  expect_refused(
      run_fathom({"embed", b.x_model, "-i", input, "-o", b.file("e.npy"), "--depth", "fixed:2"}),
      kDataError, {"lines.txt, line 2500", "--depth fixed:2", "layer 0"});
}

TEST(NonFinite, EmbedWritesThemWhenTold) {
  for (float value :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN()}) {
    const Broken b(value);
    const auto embed = [&](const char* name) {
      const Outcome run =
          run_ok({"embed", b.x_model, "-o", b.file(name), "--layers", "1,2", "--allow-nonfinite"},
                 {.input = "ab\naXb\n"});
      EXPECT_THAT(run.err,
                  AllOf(HasSubstr("1 of 2 texts"), HasSubstr("line 2"), HasSubstr("layer 0")));
      return read_whole(b.file(name));
    };
    const std::vector<std::string> lines = lines_of(embed("e.jsonl"));
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_THAT(lines[0], Not(HasSubstr("null")));
    const Json second = Json::parse(lines[1]);  // valid JSON
    EXPECT_EQ(second["embeddings"]["2"].size(), 24u);
    for (const Json& x : second["embeddings"]["2"]) EXPECT_TRUE(x.is_null());
    const std::string csv = embed("e.csv");
    EXPECT_THAT(csv, AllOf(HasSubstr("2,1,nan,nan"), Not(HasSubstr("-nan"))));
    EXPECT_TRUE(Json::parse(read_whole(b.file("e.csv.json")))["allow_nonfinite"].get<bool>());
    embed("e.npy");
    const NpyArray npy = read_npy(b.file("e.npy"));
    EXPECT_EQ(
        std::count_if(npy.values.begin(), npy.values.end(), [](float v) { return std::isnan(v); }),
        2 * 24);
  }
}

TEST(NonFinite, TraceWritesAndSaysIt) {
  const Broken b;
  const Outcome run = run_ok({"trace", b.model, "--ids", "1,2", "-o", b.file("t.safetensors")});
  EXPECT_THAT(run.err, AllOf(HasSubstr("token 1 of layer 2"), HasSubstr("block 2 is the first")));
  EXPECT_EQ(read_arrays(b.file("t.safetensors")).at("hidden").shape[0], 4u);
}

TEST(NonFinite, InfoNamesTheFirstTensor) {
  const Broken b;
  EXPECT_THAT(run_ok({"info", b.model}).out,
              AllOf(HasSubstr("blocks.1.ffn.value.weight"), HasSubstr("nan at index 5")));
  const Json j = Json::parse(run_ok({"info", b.x_model, "--json"}).out)["nonfinite"];
  EXPECT_EQ(j["tensors"], 1);
  EXPECT_EQ(j["first"][0]["tensor"], "emb.weight");
  EXPECT_EQ(j["first"][0]["first_index"], size_t{'X'} * 24 + 3);
  const Outcome skipped = run_ok({"info", b.model, "--no-values"});
  EXPECT_THAT(skipped.out, AllOf(HasSubstr("not looked at"), Not(HasSubstr("ffn.value"))));
  EXPECT_TRUE(
      Json::parse(run_ok({"info", b.model, "--no-values", "--json"}).out)["nonfinite"].is_null());
  const TempFolder folder;
  EXPECT_THAT(run_ok({"info", byte_model(folder)}).out, HasSubstr("all finite"));
}

// MRPC's dev set of 20 pairs, of which two sentences have the byte.
void write_x_mrpc(const TempFolder& folder) {
  write_glue(folder, 40, [](size_t i) { return i % 2; });
  std::string dev = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";
  for (int i = 0; i < 20; ++i)
    dev += concat(i % 2, "\t1\t2\ta ", i, "\tb ", i % 3, i == 7 || i == 9 ? "X" : "", "\n");
  folder.write("data/glue/MRPC/dev.tsv", dev);
}

TEST(NonFinite, EvalCountsThem) {
  const Broken b;
  write_x_mrpc(b.folder);
  const std::string out = b.file("out");
  const Outcome run = run_ok({"eval", b.x_model, "--data", b.file("data"), "--out", out,
                              "--no-timing", "--bootstrap", "50", "--layers", "0,2"});
  EXPECT_THAT(run.err, AllOf(HasSubstr("layer 2"), HasSubstr("2 of 40 vectors"),
                             HasSubstr("dev.tsv:9"), HasSubstr("layer 0")));
  const Json results = Json::parse(read_whole(out + "/results.json"));
  const Json& list = results["settings"]["nonfinite_vectors"];
  ASSERT_EQ(list.size(), 2u) << list;
  EXPECT_EQ(list[1]["layer"], "2");
  EXPECT_EQ(list[1]["split"], "validation");
  EXPECT_EQ(list[1]["vectors"], 2);
  EXPECT_EQ(list[1]["of"], 40);
  for (const Json& row : results["rows"])
    if (row["metric"] == "spearman") {
      EXPECT_TRUE(row["value"].is_null()) << row;
    }
  EXPECT_THAT(read_whole(out + "/report.html"), HasSubstr("2 of 40 vectors are not finite"));
  // Of a model that is whole there are none.
  const TempFolder good;
  run_ok({"eval", byte_model(good), "--data", b.file("data"), "--out", out, "--no-timing",
          "--bootstrap", "50", "--layers", "2"});
  EXPECT_TRUE(
      Json::parse(read_whole(out + "/results.json"))["settings"]["nonfinite_vectors"].empty());
}

TEST(NonFinite, WhatFitsHeadsStops) {
  const Broken b;
  write_x_mrpc(b.folder);
  const std::string data = b.file("data");
  expect_refused(run_fathom({"fit", b.x_model, "--task", "mrpc", "--data", data, "--heads",
                             b.file("h.safetensors")}),
                 kDataError, {"dev.tsv:9", "layer 0"});
  EXPECT_FALSE(std::filesystem::exists(b.file("h.safetensors")));
  // Features are kept for each model.
  expect_refused(run_fathom({"fit", b.model, "--task", "mrpc", "--data", data, "--heads",
                             b.file("h.safetensors"), "--features", b.file("others")}),
                 kDataError, {"train.tsv:2", "layer 2", "block 2"});
  const std::string texts = b.folder.write("t.txt", "a\nb\nb X\n" + std::string(50, 'c') + "\n");
  expect_refused(run_fathom({"fit", b.x_model, "--texts", texts, "-o", b.file("p")}), kDataError,
                 {"t.txt, line 3", "layer 0"});
  expect_refused(run_fathom({"sweep", b.model, "--tasks", "mrpc", "--data", data, "-o",
                             b.file("sweep"), "--no-timing"}),
                 kDataError, {"train.tsv:2", "block 2"});
  const Outcome advise = run_fathom({"advise", b.model, "--task", "mrpc", "--data", data, "-o",
                                     b.file("a.policy"), "--features", b.file("more")});
  EXPECT_EQ(advise.exit_code, kDataError);
  EXPECT_THAT(lines_of(advise.err).back(), AllOf(HasSubstr("train.tsv:2"), HasSubstr("block 2")));
  for (const char* method : {"greedy", "bi"})
    expect_refused(run_fathom({"prune", b.model, "--tasks", "mrpc", "--data", data, "--remove", "1",
                               "--sample", "20", "--held-out", "10", "--method", method, "-o",
                               b.file("m.policy")}),
                   kDataError, {"text 1", "block 2"});
}

}  // namespace
}  // namespace fathom::test::nonfinite_test
