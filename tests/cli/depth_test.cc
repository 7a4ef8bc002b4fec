// SPDX-License-Identifier: Apache-2.0
// --depth of fathom embed and fathom eval; fathom policy show.
#include "base/json.h"
#include "cli/models.h"
#include "depth/policy_file.h"
#include "encode/exit_rules.h"
#include "formats/npy.h"

namespace fathom::test::depth_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kText = "The cat sat.\nA dog ran off.\nX\nIt rained all day.\n";

// A byte model of 3 layers of 24, and policy files for it.
struct DepthBench {
  TempFolder folder;
  std::string model = byte_model(folder);

  std::string policy(const std::string& name, PolicyRule rule, Norm norm = Norm::kNone) {
    PolicyFile file;
    file.model = fingerprint_of(Model::open(model, reference_backend()));
    file.reading.norm = norm;
    file.fitted = {{"data", "nothing: made for a test"}};
    file.rule = std::move(rule);
    write_policy_file(folder.file(name), file);
    return folder.file(name);
  }
  std::string mask() {
    BlockMask mask = BlockMask::all(3);
    mask.time_mix[1] = mask.channel_mix[2] = false;
    return policy("mask.json", mask);
  }
  std::string exit(bool pair, double threshold = 0.5) {
    RuleMaker make(3);
    ExitRule rule = make.rule(Measure::kSaturation, pair, 3, 24, {1, 2});
    set_thresholds(rule, threshold);
    return policy(pair ? "pair.json" : "exit.json", rule);
  }
  std::string heads() {
    RuleMaker make(3);
    ExitRule rule = make.rule(Measure::kEntropy, false, 3, 24, {1, 2, 3});
    set_thresholds(rule, 0.3);
    return policy("heads.policy", rule, Norm::kLnOut);
  }
  std::string route() {
    RuleMaker make(5);
    RouteRule rule;
    rule.weight = make.numbers(2 * 24);
    rule.masks.assign(2, BlockMask::all(3));
    rule.masks[1].time_mix[0] = false;
    return policy("route.policy", rule);
  }

  NpyArray embed(std::vector<std::string> flags, Outcome* outcome = nullptr,
                 const char* text = kText) {
    const std::string out = folder.file("e.npy");
    flags.insert(flags.begin(), {"embed", model, "-o", out});
    const Outcome run = run_ok(flags, {.input = text});
    if (outcome) *outcome = run;
    return read_npy(out);
  }
  void refuse(std::vector<std::string> flags, int exit_code, std::vector<std::string> names) {
    flags.insert(flags.begin(), {"embed", model, "-o", folder.file("x.npy")});
    expect_refused(run_fathom(flags, {.input = kText}), exit_code, names);
    EXPECT_FALSE(std::filesystem::exists(folder.file("x.npy")));
  }
};

TEST(Depth, FixedIsThatLayer) {
  DepthBench s;
  for (const char* norm : {"none", "ln_out"})
    for (const char* depth : {"0", "1", "2", "3"}) {
      const NpyArray layer = s.embed({"--layers", depth, "--norm", norm});
      const NpyArray fixed = s.embed({"--depth", concat("fixed:", depth), "--norm", norm});
      EXPECT_EQ(fixed.values, layer.values);
      EXPECT_THAT(fixed.shape, ElementsAre(4, 24));
    }
  EXPECT_EQ(s.embed({"--depth", "full", "--layers", "2"}).values,
            s.embed({"--layers", "2"}).values);
}

// Blocks that nothing asks for are not packed: --layers 1 takes the memory of one block.
TEST(Depth, OnlyBlocksThatRunArePacked) {
  DepthBench s;
  const auto packed = [&](std::vector<std::string> flags) {
    std::filesystem::remove_all(s.folder.file("cache"));
    flags.insert(flags.end(), {"--cache", s.folder.file("cache")});
    s.embed(flags);
    size_t bytes = 0;
    if (!std::filesystem::exists(s.folder.file("cache"))) return bytes;  // nothing to keep
    for (const auto& f : std::filesystem::directory_iterator(s.folder.file("cache")))
      bytes += f.file_size();
    return bytes;
  };
  const size_t one = packed({"--layers", "1"}), two = packed({"--layers", "0,2,1"}),
               three = packed({"--layers", "all"});
  EXPECT_LT(one, two);
  EXPECT_LT(two, three);
  EXPECT_LT(packed({"--layers", "0"}), one);
  EXPECT_EQ(packed({"--layers", "final"}), three);
  EXPECT_EQ(packed({"--depth", "fixed:2"}), two);
  EXPECT_EQ(packed({"--depth", "mask:" + s.mask()}), three) << "its last block runs";
  EXPECT_EQ(packed({"--depth", "exit:" + s.exit(false)}), three);
}

TEST(Depth, FilesBringTheirOwnSettings) {
  DepthBench s;
  for (const std::string& depth :
       {"mask:" + s.mask(), "exit:" + s.exit(false), "exit:" + s.exit(true), "exit:" + s.heads(),
        "route:" + s.route()}) {
    Outcome run;
    const NpyArray e = s.embed({"--depth", depth}, &run);
    EXPECT_THAT(e.shape, ElementsAre(4, 24));
    EXPECT_THAT(run.err, HasSubstr(depth + ": layer "));
    const Json made_by = Json::parse(read_whole(s.folder.file("e.npy.json")));
    EXPECT_EQ(made_by["depth"]["policy"], depth);
    EXPECT_EQ(made_by["depth"]["fitted"]["data"], "nothing: made for a test");
    EXPECT_EQ(made_by["embedding"]["layers"], Json::array({"policy"}));
    EXPECT_EQ(made_by["embedding"]["norm"], depth.find("heads") != depth.npos ? "ln_out" : "none");
  }
}

TEST(Depth, AnImpossibleThresholdIsTheLastLayer) {
  DepthBench s;
  EXPECT_EQ(s.embed({"--depth", "exit:" + s.exit(false, 2)}).values,
            s.embed({"--layers", "3"}).values);
  EXPECT_EQ(s.embed({"--depth", "exit:" + s.exit(false, 0)}).values,
            s.embed({"--layers", "1"}).values);
}

TEST(Depth, TheLogHasARowForEachText) {
  DepthBench s;
  const std::string log = s.folder.file("log.csv");
  s.embed({"--depth", "exit:" + s.heads(), "--depth-log", log});
  const auto lines = lines_of(read_whole(log));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], "line,exit_layer,time_mix,channel_mix,route,class,value,confidence");
  EXPECT_THAT(lines[3], testing::StartsWith("3,"));
  s.embed({"--depth", "mask:" + s.mask(), "--depth-log", log});
  EXPECT_EQ(lines_of(read_whole(log))[1], "1,3,2,2,,,,");
  s.embed({"--depth", "route:" + s.route(), "--depth-log", log, "--empty", "zero"}, nullptr,
          "One.\n\nThree.\n");
  EXPECT_EQ(lines_of(read_whole(log)).size(), 4u);
}

TEST(Depth, PairsAreLinesTwoByTwo) {
  DepthBench s;
  const std::string log = s.folder.file("log.csv");
  s.embed({"--depth", "exit:" + s.exit(true), "--depth-log", log});
  const auto lines = lines_of(read_whole(log));
  for (size_t i = 1; i < lines.size(); i += 2)
    EXPECT_EQ(lines[i].substr(2), lines[i + 1].substr(2));
  const std::string depth = "exit:" + s.exit(true);
  const auto refused = [&](const char* text, const char* empty) {
    expect_refused(run_fathom({"embed", s.model, "-o", s.folder.file("x.npy"), "--depth", depth,
                               "--empty", empty},
                              {.input = text}),
                   kDataError, {"pairs of lines", "even"});
  };
  refused("one\ntwo\nthree\n", "error");
  refused("one\n\nthree\nfour\n", "skip");
  refused("one\n\nthree\nfour\n", "zero");
}

TEST(Depth, RefusesWhatCannotBe) {
  DepthBench s;
  s.refuse({"--depth", "half"}, kUsageError, {"--depth", "half"});
  s.refuse({"--depth", "fixed:4"}, kUsageError,
           {"--depth: expected fixed:L", "0 to 3", "'fixed:4'"});
  s.refuse({"--depth", "fixed:2", "--layers", "1"}, kUsageError, {"--layers", "fixed:2"});
  s.refuse({"--depth", "fixed:2", "--pool", "state"}, kUsageError, {"--pool", "fixed:2"});
  s.refuse({"--depth", "exit:" + s.mask()}, kUsageError, {"mask.json", "kind mask"});
  s.refuse({"--depth", "exit:" + s.heads(), "--norm", "none"}, kUsageError,
           {"--norm none", "fitted with ln_out"});
  s.refuse({"--depth", "exit:" + s.heads(), "--bos", "7"}, kUsageError,
           {"--bos 7", "fitted with none"});
  s.refuse({"--depth", "exit:" + s.exit(false), "--scan", "both"}, kUsageError, {"--scan both"});
  s.refuse({"--depth", "mask:" + s.folder.file("none.json").string()}, kDataError, {"none.json"});
  s.refuse({"--depth-log", "x.csv"}, kUsageError, {"--depth-log"});
  // For another model.
  const std::string mask = s.mask();
  Shape other = byte_shape();
  other.seed = 9;
  write_arrays(s.model, make_model(other).arrays);
  s.refuse({"--depth", "mask:" + mask}, kDataError,
           {"mask.json", "another model", "RWKV-6 of 3 layers of 24"});
}

TEST(Depth, EvalHasOneRowForThePolicy) {
  DepthBench s;
  std::filesystem::create_directories(s.folder.file("data/glue/MRPC"));
  std::string rows = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";
  for (int i = 0; i < 12; ++i)
    rows += concat(i % 2, "\t1\t2\tSentence number ", i, " here\tSentence ",
                   i % 2 ? "number " : "x", i * i, "\n");
  for (const char* name : {"data/glue/MRPC/train.tsv", "data/glue/MRPC/dev.tsv"})
    s.folder.write(name, rows);
  const auto eval = [&](const std::string& depth, const std::string& out) {
    run_ok({"eval", s.model, "--task", "mrpc", "--data", s.folder.file("data"), "--no-timing",
            "--bootstrap", "20", "--out", s.folder.file(out), "--depth", depth});
    return Json::parse(read_whole(s.folder.file(out + "/results.json")));
  };
  const Json pair = eval("exit:" + s.exit(true), "pair");
  EXPECT_EQ(pair["settings"]["depth"]["by_pair"], true);
  EXPECT_EQ(pair["settings"]["depth"]["evaluated"]["n_text"], 24);
  EXPECT_EQ(pair["rows"][0]["layer"], "policy");
  EXPECT_TRUE(pair["rows"][0]["hf_index"].is_null());
  ASSERT_EQ(pair["cost"].size(), 1u);
  EXPECT_GT(pair["cost"][0]["flops_per_pair"], 0);
  // The same figures as that layer, by another name.
  const Json fixed = eval("fixed:2", "fixed");
  run_ok({"eval", s.model, "--task", "mrpc", "--data", s.folder.file("data"), "--no-timing",
          "--bootstrap", "20", "--out", s.folder.file("layer"), "--layers", "2"});
  const Json layer = Json::parse(read_whole(s.folder.file("layer/results.json")));
  ASSERT_EQ(fixed["rows"].size(), layer["rows"].size());
  for (size_t i = 0; i < layer["rows"].size(); ++i)
    EXPECT_EQ(fixed["rows"][i]["value"], layer["rows"][i]["value"]);
  EXPECT_EQ(fixed["cost"][0]["flops_per_pair"], layer["cost"][0]["flops_per_pair"]);
  EXPECT_EQ(fixed["cost"][0]["weight_bytes"], layer["cost"][0]["weight_bytes"]);
}

TEST(Policy, ShowExplainsEveryKind) {
  DepthBench s;
  const auto show = [](const std::string& file) { return run_ok({"policy", "show", file}).out; };
  EXPECT_THAT(show(s.mask()), testing::AllOf(HasSubstr("mask, for RWKV-6 of 3 layers of 24"),
                                             HasSubstr("4 of 6 sublayers"), HasSubstr("time mix"),
                                             HasSubstr("made for a test")));
  EXPECT_THAT(show(s.exit(true)),
              testing::AllOf(HasSubstr("every pair"), HasSubstr("saturation"),
                             HasSubstr("at least the threshold"), HasSubstr("0.5")));
  EXPECT_THAT(show(s.heads()), testing::AllOf(HasSubstr("entropy"), HasSubstr("3 classes"),
                                              HasSubstr("norm ln_out"), HasSubstr("always")));
  EXPECT_THAT(show(s.route()), testing::AllOf(HasSubstr("at layer 0"), HasSubstr("centroid"),
                                              HasSubstr(".C TC TC")));
  for (const std::string& file : {s.mask(), s.heads(), s.route()})
    EXPECT_THAT(show(file), testing::Not(HasSubstr("{\""))) << "JSON is behind --json";
  const Json json = Json::parse(run_ok({"policy", "show", s.heads(), "--json"}).out);
  EXPECT_EQ(json["kind"], "exit");
  EXPECT_EQ(json["exit"]["exits"][1]["layer"], 2);
}

TEST(Policy, ShowRefusesOtherFiles) {
  DepthBench s;
  expect_refused(run_fathom({"policy", "show", s.model}), kDataError,
                 {"model.safetensors", "not a policy file"});
  expect_refused(run_fathom({"policy", "show", s.folder.write("a.json", "{}")}), kDataError,
                 {"a.json", "fathom_policy: missing"});
  EXPECT_EQ(run_fathom({"policy"}).exit_code, kUsageError);
}

}  // namespace
}  // namespace fathom::test::depth_test
