// SPDX-License-Identifier: Apache-2.0
// JSON that is nested too deep, wherever the program reads JSON: one error that names the file, and
// no crash. And paths that are not UTF-8, in the JSON that it writes.
#include "base/json.h"
#include "cli/models.h"
#include "eval/small_glue.h"
#include "formats/build_files.h"

namespace fathom::test::json_input_test {
namespace {

const std::string kDeepList = std::string(100'000, '[') + std::string(100'000, ']');
const std::string kDeepObjects = [] {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "{\"a\":";
  return text;
}();

TEST(DeepJson, IsRefusedWhereverItIsRead) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const std::string out = folder.file("out.npy");
  for (const std::string& deep : {kDeepList, kDeepObjects}) {
    const std::string json = folder.write("deep.json", deep);
    const std::string lines = folder.write("deep.jsonl", "{\"text\": \"a\"}\n" + deep + "\n");
    const std::string ids = folder.write("ids.jsonl", "[1, 2]\n" + deep + "\n");
    const char* const too_deep = "JSON nested deeper than 64 levels";
    const char* const too_many = "JSON of more than 40000 values";  // of readers that count first
    const auto refused = [&](const std::vector<std::string>& arguments, const char* name,
                             const char* why) {
      SCOPED_TRACE(arguments.front());
      expect_refused(run_fathom(arguments), kDataError, {name, why});
    };
    refused({"metrics", json}, "deep.json", too_deep);
    refused({"embed", model, "-i", lines, "--field", "text", "-o", out}, "deep.jsonl", too_deep);
    refused({"bench", model, "--ids-file", ids}, "ids.jsonl, line 2", too_deep);
    refused({"embed", model, "-i", folder.write("a.txt", "A.\n"), "-o", out, "--vocab",
             folder.write("tokenizer_deep.json", "{\"model\":" + deep)},
            "tokenizer_deep.json", too_deep);
    refused({"policy", "show", json}, "deep.json", too_many);
    refused({"tokenize", "--vocab", folder.write("tokenizer.json", "{\"model\":" + deep), "x"},
            "tokenizer.json", too_deep);
    refused({"info", folder.write("model.safetensors.index.json", deep)}, "index.json",
            deep.starts_with('{') ? too_many : "not a known format");
    std::filesystem::remove(folder.file("model.safetensors.index.json"));
    std::filesystem::remove(folder.file("tokenizer.json"));
    // The header of a safetensors file has one form, in which this does not occur.
    expect_refused(
        run_fathom({"info", folder.write("deep.safetensors", safetensors("{\"a\":" + deep, ""))}),
        kDataError, {"deep.safetensors"});
  }
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(DeepJson, InAConfigIsANote) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  folder.write("config.json", concat("{\"a\":", std::string(100, '['), std::string(100, ']'), "}"));
  EXPECT_THAT(run_ok({"info", model}).out, testing::HasSubstr("nested deeper"));
}

TEST(PathsThatAreNotUtf8, WorkAndAreWrittenWithReplacement) {
  const TempFolder folder;
  const std::string place = folder.file("caf\xe9");
  std::filesystem::create_directory(place);
  write_arrays(place + "/model.safetensors", make_model(byte_shape()).arrays);
  const std::string in = place + "/in.txt", out = place + "/e.npy";
  std::ofstream(in) << "A.\nB.\n";
  run_ok({"embed", place, "-i", in, "-o", out});
  const std::string replaced = "caf\xef\xbf\xbd";
  const Json made = Json::parse(read_whole(out + ".json"));
  EXPECT_THAT(made["model"]["path"].get<std::string>(), testing::HasSubstr(replaced));
  EXPECT_THAT(Json::parse(run_ok({"info", place, "--json"}).out)["files"][0].get<std::string>(),
              testing::HasSubstr(replaced));
  for (const char* ending : {"e.safetensors", "e.jsonl", "e.csv"})
    run_ok({"embed", place, "-i", in, "-o", place + "/" + ending});
  EXPECT_THAT(dump_json(Checkpoint::open(place + "/e.safetensors").attributes()),
              testing::HasSubstr(replaced));
  expect_refused(run_fathom({"info", place + "/no.pth"}), kDataError, {"no such file"});
}

TEST(ErrorsOfFiles, NameTheFile) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  // A name that no file system takes.
  const std::string name(300, 'n');
  expect_refused(run_fathom({"embed", model, "-i", folder.write("a.txt", "A.\n"), "-o",
                             folder.file(name + ".npy")}),
                 kDataError, {"nnnn"});
  expect_refused(run_fathom({"info", folder.file(name)}), kDataError, {"nnnn", "too long"});
}

TEST(ErrorsOfFiles, AClassWithoutRows) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  write_glue(folder, 60, [](size_t) { return 1; });
  expect_refused(run_fathom({"fit", model, "--task", "cola", "--heads",
                             folder.file("h.safetensors"), "--data", folder.file("data")}),
                 kDataError, {"CoLA/train.tsv", "no row of class 0"});
}

TEST(HubNames, AreOpenedFromTheCacheAndRecordedByTheirPath) {
  const TempFolder folder;
  const std::filesystem::path snapshot =
      folder.file("home/hub/models--org--tiny/snapshots/0123abcd");
  std::filesystem::create_directories(snapshot);
  write_arrays(snapshot / "model.safetensors", make_model(byte_shape()).arrays);
  std::filesystem::create_directories(folder.file("home/hub/models--org--tiny/refs"));
  folder.write("home/hub/models--org--tiny/refs/main", "0123abcd");
  const RunOptions home{.environment = {"HF_HOME=" + folder.file("home").string()}};
  const std::string in = folder.write("a.txt", "A.\n"), out = folder.file("e.npy");
  run_ok({"embed", "org/tiny", "-i", in, "-o", out}, home);
  EXPECT_EQ(Json::parse(read_whole(out + ".json"))["model"]["path"],
            (snapshot / "model.safetensors").string());
  run_ok({"info", folder.file("home/hub/models--org--tiny")});
  expect_refused(run_fathom({"info", "org/other"}, home), kDataError,
                 {"org/other", "hf download org/other"});
}

TEST(LayerNormEpsilon, IsForcedByItsFlagAndRecorded) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  folder.write("config.json", R"({"hidden_size": 24, "layer_norm_epsilon": 0.1})");
  const std::string in = folder.write("a.txt", "A.\n"), out = folder.file("e.npy");
  expect_refused(run_fathom({"embed", model, "-i", in, "-o", out}), kDataError,
                 {"config.json", "layer_norm_epsilon", "0.1", "--ln-eps"});
  expect_refused(run_fathom({"convert", model, folder.file("x/")}), kDataError, {"--ln-eps"});
  run_ok({"embed", model, "-i", in, "-o", out, "--ln-eps", "0.1"});
  EXPECT_FLOAT_EQ(Json::parse(read_whole(out + ".json"))["model"]["ln_eps"].get<float>(), 0.1f);
  run_ok({"convert", model, folder.file("x/"), "--ln-eps", "1e-4"});
  EXPECT_FLOAT_EQ(
      Json::parse(read_whole(folder.file("x/config.json")))["layer_norm_epsilon"].get<float>(),
      1e-4f);
  expect_refused(run_fathom({"info", model, "--ln-eps", "-1"}), kUsageError, {"--ln-eps"});
}

}  // namespace
}  // namespace fathom::test::json_input_test
