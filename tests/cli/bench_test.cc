// SPDX-License-Identifier: Apache-2.0
// fathom bench: what is printed, for people and programs, and what is refused. No time is judged.
#include "base/json.h"
#include "cli/models.h"

namespace fathom::test::bench_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json bench_json(const TempFolder& folder, std::vector<std::string> flags) {
  std::vector<std::string> all = {"bench", byte_model(folder), "--json", "--min-seconds",
                                  "0",     "--repeats",        "2"};
  all.insert(all.end(), flags.begin(), flags.end());
  const Outcome run = run_ok(all);
  EXPECT_EQ(run.err, "");  // no progress in a pipe
  return Json::parse(run.out);
}

// Every run has these, and they hang together.
void expect_sound(const Json& run) {
  const double seconds = run["seconds"];
  EXPECT_GT(seconds, 0);
  EXPECT_DOUBLE_EQ(run["tokens_per_second"].get<double>() * seconds, run["n_token"]);
  EXPECT_DOUBLE_EQ(run["sequences_per_second"].get<double>() * seconds, run["n_sequence"]);
  double parts = 0;
  for (const char* part : {"products", "wkv", "norms_and_mixing", "pooling", "tokenizer", "rest"})
    parts += run["parts"].at(part).get<double>();
  EXPECT_NEAR(parts, seconds, 1e-9);
  EXPECT_NEAR(run["gflop_per_second"], run["flop"].get<double>() / seconds / 1e9, 1e-6);
  EXPECT_GT(run["operators"]["matmul"]["calls"], 0);
  EXPECT_EQ(run["samples"].size(), run["n_repeat"].get<size_t>());
  uint64_t flop = 0;
  for (const auto& [kind, product] : run["products"].items())
    flop += product["flop"].get<uint64_t>();
  EXPECT_EQ(flop, run["flop"].get<uint64_t>());
}

TEST(Bench, JsonOfPackedWorkloadsAndAFile) {
  const TempFolder folder;
  const std::string in = folder.write("s.txt", "The cat sat.\nA dog ran off.\nX\n");
  const Json j = bench_json(folder, {"-i", in, "--threads", "1,2"});
  std::vector<std::string> names;
  for (const Json& run : j["runs"]) {
    names.push_back(concat(run["workload"].get<std::string>(), " ", run["threads"].dump()));
    expect_sound(run);
    EXPECT_GT(run["ceiling_seconds"], 0);
    EXPECT_NEAR(run["share_of_ceiling"],
                run["ceiling_seconds"].get<double>() / run["seconds"].get<double>(), 1e-9);
    EXPECT_GT(run["arithmetic_seconds"], 0);
    EXPECT_GT(run["memory_bytes_per_second"], 0);
    EXPECT_GT(run["memory_seconds"], 0);
    EXPECT_TRUE(run["all_layers_extra"].is_null());
  }
  EXPECT_THAT(names, ElementsAre("1 token 1", "32 tokens 1", "128 tokens 1", "512 tokens 1",
                                 "2048 tokens 1", "s.txt 1", "1 token 2", "32 tokens 2",
                                 "128 tokens 2", "512 tokens 2", "2048 tokens 2", "s.txt 2"));
  const Json& last = j["runs"].back();
  EXPECT_EQ(last["n_sequence"], 3);
  EXPECT_EQ(last["n_token"], 12 + 14 + 1);
  EXPECT_GT(last["parts"]["tokenizer"], 0);
  for (const char* key :
       {"seconds", "tokens_per_second", "sequences_per_second", "dtype", "threads", "workload"})
    EXPECT_EQ(j[key], last[key]) << key;
  // A packed workload is one batch; the cost is per token.
  const Json &small = j["runs"][1], &large = j["runs"][4];
  EXPECT_EQ(large["n_batch"], 1);
  EXPECT_EQ(large["n_sequence"], 64);
  EXPECT_EQ(large["flop"].get<uint64_t>(), 64 * small["flop"].get<uint64_t>());
  ASSERT_EQ(j["loads"].size(), 1u);
  EXPECT_GT(j["loads"][0]["seconds"], 0);
  EXPECT_GT(j["loads"][0]["weight_bytes"], 0);
  EXPECT_GE(j["loads"][0]["peak_rss_bytes"], j["loads"][0]["peak_rss_bytes_loaded"]);
  EXPECT_EQ(j["statistic"], "median");
  EXPECT_EQ(j["model"]["version"], "6");
  EXPECT_THAT(j["tokenizer"].get<std::string>(), HasSubstr("bytes"));
}

TEST(Bench, IdsFileAlone) {
  const TempFolder folder;
  const std::string ids = folder.write("ids.jsonl", "[1, 2, 3]\n\n[4,5]\n");
  const Json j = bench_json(folder, {"--tokens", "none", "--ids-file", ids, "--no-ceiling",
                                     "--all-layers", "--by", "best", "--layers", "1"});
  ASSERT_EQ(j["runs"].size(), 1u);
  expect_sound(j["runs"][0]);
  EXPECT_EQ(j["runs"][0]["workload"], "ids.jsonl");
  EXPECT_EQ(j["runs"][0]["n_sequence"], 2);
  EXPECT_EQ(j["runs"][0]["n_token"], 5);
  EXPECT_EQ(j["runs"][0]["parts"]["tokenizer"], 0);
  EXPECT_TRUE(j["runs"][0]["all_layers_extra"].is_number());
  EXPECT_GT(j["tokens_per_second"], 0);
  EXPECT_EQ(j["statistic"], "best");
  EXPECT_EQ(j["embedding"]["layers"], Json({1}));
}

TEST(Bench, LengthAndBatchTokens) {
  const TempFolder folder;
  const Json j = bench_json(folder, {"--tokens", "100,2500", "--length", "2500", "--no-ceiling"});
  EXPECT_EQ(j["runs"][0]["n_sequence"], 1);
  EXPECT_EQ(j["runs"][1]["n_sequence"], 1);
  EXPECT_EQ(j["runs"][1]["batch_tokens"], 2048);
  EXPECT_EQ(j["runs"][1]["n_batch"], 2);
  const Json cut = bench_json(folder, {"--tokens", "100", "--batch-tokens", "40", "--no-ceiling"});
  EXPECT_EQ(cut["runs"][0]["n_sequence"], 4);
  EXPECT_EQ(cut["runs"][0]["n_batch"], 3);  // 32, 32, and 32 with the last 4
}

TEST(Bench, NoCeilingIsNull) {
  const TempFolder folder;
  const Json j = bench_json(folder, {"--tokens", "8", "--no-ceiling"});
  for (const char* key :
       {"ceiling_seconds", "ceiling_gflop_per_second", "share_of_ceiling", "arithmetic_seconds"})
    EXPECT_TRUE(j["runs"][0][key].is_null()) << key;
}

TEST(Bench, EveryVersionAndTheReference) {
  for (Version version : {Version::kV4, Version::kV5_2, Version::kV7}) {
    const TempFolder folder;
    const Outcome run =
        run_ok({"bench", byte_model(folder, version), "--backend", "reference", "--tokens", "3",
                "--repeats", "1", "--no-ceiling", "--min-seconds", "0"});
    EXPECT_THAT(run.out, HasSubstr("3 tokens"));
  }
}

TEST(Bench, TablesForPeople) {
  const TempFolder folder;
  const Outcome run = run_ok({"bench", byte_model(folder), "--tokens", "1,40", "--repeats", "1",
                              "--min-seconds", "0", "--all-layers"});
  EXPECT_EQ(run.err, "");
  for (const char* text : {"Tokens/s", "Sentences/s", "GFLOP/s", "Ceiling", "Share (%)",
                           "All layers (+%)", "Products (%)", "WKV (%)", "Tokenizer (%)",
                           "40 tokens", "Peak (MB)", "Load (s)", "the median repeat"})
    EXPECT_THAT(run.out, HasSubstr(text));
}

TEST(Bench, DtypesThatTheModelDoesNotTakeAreTold) {
  const TempFolder folder;
  // d_model is below 256 and the weights are f32: bf16 would gain nothing.
  const Outcome run =
      run_ok({"bench", byte_model(folder), "--tokens", "2", "--repeats", "1", "--no-ceiling",
              "--min-seconds", "0", "--dtype", "f32,bf16", "--json"});
  EXPECT_THAT(run.err, HasSubstr("computing in f32"));
  const Json j = Json::parse(run.out);
  EXPECT_THAT(run.err, HasSubstr("bf16 is computed in f32, which has been measured"));
  EXPECT_EQ(j["loads"].size(), 1u);
  EXPECT_EQ(j["runs"].size(), 1u);
  EXPECT_EQ(j["runs"][0]["dtype"], "f32");
}

TEST(Bench, WrongFlagsAreRefused) {
  const TempFolder folder;
  struct Case {
    std::vector<std::string> flags, names;
  };
  const Case cases[] = {
      {{"--tokens", "0"}, {"--tokens", "'0'"}},
      {{"--tokens", "1,,2"}, {"--tokens", "empty"}},
      {{"--tokens", "12x"}, {"--tokens", "12x"}},
      {{"--tokens", "none"}, {"--tokens none", "--ids-file"}},
      {{"--threads", "2,many"}, {"--threads", "many"}},
      {{"--threads", "5000"}, {"--threads", "5000"}},
      {{"--dtype", "f32,f8"}, {"--dtype", "f8"}},
      {{"--dtype", ""}, {"--dtype"}},
      {{"--by", "mean"}, {"--by", "mean"}},
      {{"--length", "0"}, {"--length"}},
      {{"--repeats", "0"}, {"--repeats"}},
      {{"--min-seconds", "-1"}, {"--min-seconds"}},
      {{"--batch-tokens", "0"}, {"--batch-tokens"}},
      {{"--layers", "9", "--tokens", "1"}, {"9"}},
      {{"--pool", "median"}, {"--pool", "median"}},
      {{"-i", "a", "--ids-file", "b"}, {"--ids-file"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.flags));
    std::vector<std::string> all = {"bench", byte_model(folder)};
    all.insert(all.end(), c.flags.begin(), c.flags.end());
    expect_refused(run_fathom(all), kUsageError, c.names);
  }
}

TEST(Bench, WrongFilesAreRefused) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  const auto refuse = [&](const std::string& flag, const std::string& content,
                          const std::vector<std::string>& names) {
    SCOPED_TRACE(content);
    const std::string file = folder.write("file.txt", content);
    expect_refused(run_fathom({"bench", model, "--tokens", "none", flag, file}), kDataError, names);
  };
  refuse("--ids-file", "[1,2]\n[]\n", {"file.txt", "line 2", "JSON list"});
  refuse("--ids-file", "[1,-2]\n", {"line 1"});
  refuse("--ids-file", "[1,2.5]\n", {"line 1"});
  refuse("--ids-file", "[1,4294967296]\n", {"line 1"});
  refuse("--ids-file", "1,2\n", {"line 1"});
  refuse("--ids-file", "{\"ids\": [1]}\n", {"line 1"});
  refuse("--ids-file", "\n", {"file.txt", "no list"});
  refuse("--ids-file", "[1,256]\n", {"256", "n_vocab"});
  refuse("-i", "a\n\nb\n", {"line 2", "empty"});
  refuse("-i", "", {"no sentence"});
  expect_refused(run_fathom({"bench", model, "--ids-file", folder.file("none")}), kDataError,
                 {"none"});
  expect_refused(run_fathom({"bench", folder.file("no.pth")}), kDataError, {"no.pth"});
}

}  // namespace
}  // namespace fathom::test::bench_test
