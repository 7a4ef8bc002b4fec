// SPDX-License-Identifier: Apache-2.0
// fathom prune: every method writes a mask that other commands take; what it tells and refuses.
#include "cli/mask_bench.h"

namespace fathom::test::prune_test {
namespace {

using testing::HasSubstr;

size_t n_kept(const Json& policy) {
  size_t n = 0;
  for (const char* sublayer : {"time_mix", "channel_mix"})
    for (const Json& runs : policy["mask"][sublayer]) n += runs.get<bool>();
  return n;
}

TEST(Prune, EveryMethodWritesAMask) {
  const MaskWorkbench bench;
  const std::string out = bench.file("p.policy");
  for (const char* method : {"bi", "angular", "greedy", "cem", "random"}) {
    SCOPED_TRACE(method);
    const Outcome run = bench.run(
        "prune", {"--texts", bench.texts, "--method", method, "--remove", "2", "-o", out});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.err, "");
    EXPECT_THAT(run.out, HasSubstr("tried on 20 texts, figures on 15 others"));
    EXPECT_THAT(run.out,
                testing::EndsWith(concat("\nUse it: fathom embed ", bench.model,
                                         " -i texts.txt -o vectors.npy --depth ", out, "\n")));
    const Json policy = bench.policy(out);
    EXPECT_EQ(policy["kind"], "mask");
    EXPECT_EQ(n_kept(policy), 4u);
    const Json& fitted = policy["fitted"];
    EXPECT_EQ(fitted["method"], method);
    EXPECT_EQ(fitted["data"], bench.texts);
    EXPECT_EQ(fitted["n_text"], 20);
    EXPECT_EQ(fitted["n_held_out"], 15);
    EXPECT_EQ(fitted["reference_layer"], 3);
    EXPECT_EQ(fitted["target"], "remove 2 units");
    EXPECT_THAT(fitted["command"].get<std::string>(), HasSubstr("prune"));
    for (const char* mask : {"found", "whole", "truncated", "random"})
      for (const char* figure : {"flops_share", "loss_fitted", "loss"})
        EXPECT_TRUE(fitted[mask][figure].is_number()) << mask << " " << figure;
    EXPECT_NEAR(fitted["whole"]["loss"].get<double>(), 0, 1e-9) << "the reference itself";
    EXPECT_EQ(fitted["random"]["n_mask"], 20);
    EXPECT_NEAR(fitted["random"]["flops_share"].get<double>(),
                fitted["found"]["flops_share"].get<double>(), 1e-9);
    EXPECT_THAT(bench.embed("mask:" + out).shape, testing::ElementsAre(60, 24));
  }
}

// The loss that it tells is the loss of what embed makes under the policy.
TEST(Prune, TellsWhatEmbedLoses) {
  const MaskWorkbench bench(Version::kV7);
  const std::string out = bench.file("p.policy");
  // Everything that is held out is in the mean: the sample is one text.
  const Outcome run = run_ok({"prune", bench.model, "--texts", bench.texts, "--sample", "1",
                              "--held-out", "59", "--keep", "0.6", "-o", out, "--json"});
  const Json json = Json::parse(run.out);
  const NpyArray whole = bench.embed("fixed:3"), masked = bench.embed("mask:" + out);
  double sum = 0;
  std::vector<double> losses;
  for (size_t t = 0; t < 60; ++t) {
    double uv = 0, uu = 0, vv = 0;
    for (size_t i = 24 * t; i < 24 * t + 24; ++i) {
      uv += double{whole.values[i]} * masked.values[i];
      uu += double{whole.values[i]} * whole.values[i];
      vv += double{masked.values[i]} * masked.values[i];
    }
    losses.push_back(1 - uv / std::sqrt(uu * vv));
    sum += losses.back();
  }
  const double fitted = json["found"]["loss_fitted"];
  EXPECT_NEAR((sum - fitted) / 59, json["found"]["loss"].get<double>(), 1e-6);
  EXPECT_TRUE(std::ranges::any_of(losses, [&](double l) { return std::abs(l - fitted) < 1e-6; }));
  EXPECT_EQ(json["output"], out);
  EXPECT_EQ(json["blocks"].get<std::string>().size(), 8u);
  EXPECT_FALSE(json["steps"].empty());
}

TEST(Prune, LabelsAndBlocksAndRows) {
  const MaskWorkbench bench;
  const std::string out = bench.file("p.policy");
  const auto prune = [&](std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--tasks", "stsb", "--data", bench.data(), "-o", out, "--json"});
    const Outcome run = bench.run("prune", flags);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return Json::parse(run.out);
  };
  const Json label = prune({"--objective", "label", "--keep", "0.5"});
  EXPECT_LT(label["found"]["loss_fitted"].get<double>(), 0) << "-Spearman";
  EXPECT_FALSE(label.contains("reference_layer"));
  EXPECT_EQ(label["data"], "stsb, train");
  EXPECT_THAT(label["files"][0].get<std::string>(), HasSubstr("train.tsv"));
  const Json rsa = prune({"--objective", "rsa", "--keep", "0.5", "--reference", "1"});
  EXPECT_EQ(rsa["reference_layer"], 1);
  // Whole blocks, the first of which stays.
  const Json blocks = prune(
      {"--method", "bi", "--unit", "block", "--remove", "2", "--protect", "1", "--rows", "pooled"});
  EXPECT_EQ(blocks["blocks"], "TC .. ..");
  EXPECT_EQ(blocks["rows"], "pooled");
  EXPECT_EQ(bench.policy(out)["fitted"]["unit"], "block");
}

TEST(Prune, ASeedIsARun) {
  const MaskWorkbench bench;
  const auto prune = [&](const char* seed) {
    return bench
        .run("prune", {"--texts", bench.texts, "--keep", "0.5", "--method", "cem", "--seed", seed,
                       "-o", bench.file("p.policy")})
        .out;
  };
  const std::string first = prune("3");
  EXPECT_EQ(prune("3"), first);
  EXPECT_NE(prune("4"), first);
}

// What is held out has no sentence that masks were fitted on.
TEST(Prune, RepeatedSentencesAreNotHeldOut) {
  const MaskWorkbench bench;
  std::string lines;
  for (size_t i = 0; i < 40; ++i) lines += MaskWorkbench::sentence(i % 5) + "\n";
  const std::string texts = bench.folder.write("repeated.txt", lines);
  expect_refused(bench.run("prune", {"--texts", texts, "--keep", "0.5", "-o", bench.file("p")}),
                 kDataError, {"repeated.txt", "too few different texts"});
  expect_refused(bench.run("prune", {"--texts", bench.folder.write("one.txt", "One.\n"), "--keep",
                                     "0.5", "-o", bench.file("p")}),
                 kDataError, {"one.txt", "too few different texts"});
  EXPECT_FALSE(std::filesystem::exists(bench.file("p")));
}

// The mask goes out, a command fills the folder, and what it put there is judged.
TEST(Prune, HealsByACommand) {
  const MaskWorkbench bench;
  std::filesystem::copy(bench.file("data/glue/STS-B/train.tsv"),
                        bench.file("data/glue/STS-B/dev.tsv"));
  const std::string out = bench.file("m.policy"), tuned = bench.file("it's tuned");
  const Outcome run =
      run_ok({"prune",
              bench.model,
              "--tasks",
              "stsb",
              "--data",
              bench.data(),
              "--objective",
              "task",
              "--sample",
              "45",
              "--held-out",
              "10",
              "--method",
              "bi",
              "--remove",
              "1",
              "-o",
              out,
              "--healed",
              tuned,
              "--json",
              "--heal",
              "echo to the log; test -s {mask} && mkdir -p {folder}/model && cp -r " + bench.model +
                  " {folder}/model/"});
  EXPECT_THAT(run.err, HasSubstr("to the log"));
  const Json json = Json::parse(run.out);
  EXPECT_EQ(json["objective"], "task");
  EXPECT_EQ(json["healed"]["healed"], json["healed"]["masked"]) << "nothing was tuned";
  EXPECT_EQ(json["healed"]["n_evaluated"], 60);
  EXPECT_EQ(bench.policy(tuned + "/mask.policy")["kind"], "mask");
  EXPECT_EQ(bench.policy(tuned + "/mask.policy")["mask"], bench.policy(out)["mask"]);
  // And the two halves of it one after the other.
  const Outcome back =
      run_ok({"prune", bench.model, "--tasks", "stsb", "--data", bench.data(), "--sample", "45",
              "--held-out", "10", "--mask", out, "--healed", tuned, "-o", bench.file("b.policy")});
  EXPECT_THAT(back.out, HasSubstr("pearson on 60 rows of validation, heads fitted anew on 60"));
  EXPECT_EQ(bench.policy(bench.file("b.policy"))["mask"], bench.policy(out)["mask"]);
}

TEST(Prune, RefusesAHealingThatFails) {
  const MaskWorkbench bench;
  const auto heal = [&](std::vector<std::string> more, int code, const std::string& name) {
    more.insert(more.begin(), {"--tasks", "stsb", "--data", bench.data(), "--remove", "1", "-o",
                               bench.file("m.policy")});
    expect_refused(bench.run("prune", more), code, {name});
  };
  heal({"--heal", "exit 3", "--healed", bench.file("t")}, kDataError, "ended with 3");
  heal({"--heal", "true"}, kUsageError, "--heal: needs --healed");
  heal({"--mask", bench.file("m.policy")}, kUsageError, "--mask: needs --healed");
  expect_refused(bench.run("prune", {"--texts", bench.texts, "--remove", "1", "--objective", "task",
                                     "-o", bench.file("m.policy")}),
                 kUsageError, {"--objective task: needs --tasks"});
  expect_refused(run_fathom({"prune", bench.model, "--texts", bench.texts, "--remove", "1",
                             "--sample", "200", "--held-out", "1", "-o", bench.file("m.policy")}),
                 kDataError, {"--held-out 1 leaves none"});
}

TEST(Prune, RefusesWhatCannotBe) {
  const MaskWorkbench bench;
  const std::string out = bench.file("p.policy");
  const auto refuse = [&](std::vector<std::string> flags, int exit_code,
                          std::vector<std::string> names) {
    SCOPED_TRACE(testing::PrintToString(flags));
    flags.insert(flags.end(), {"-o", out});
    expect_refused(bench.run("prune", flags), exit_code, names);
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  const std::string t = bench.texts;
  refuse({"--keep", "0.5"}, kUsageError, {"--texts", "--tasks"});
  refuse({"--texts", t, "--tasks", "stsb", "--keep", "0.5"}, kUsageError, {"either"});
  refuse({"--texts", t}, kUsageError, {"--keep", "--remove"});
  refuse({"--texts", t, "--keep", "1.5"}, kUsageError, {"--keep"});
  refuse({"--texts", t, "--keep", "0.5", "--remove", "2"}, kUsageError, {"--remove"});
  refuse({"--texts", t, "--keep", "0.5", "--method", "luck"}, kUsageError, {"--method", "luck"});
  refuse({"--texts", t, "--keep", "0.5", "--objective", "x"}, kUsageError, {"--objective", "'x'"});
  refuse({"--texts", t, "--keep", "0.5", "--rows", "x"}, kUsageError, {"--rows"});
  refuse({"--texts", t, "--keep", "0.5", "--unit", "x"}, kUsageError, {"--unit"});
  refuse({"--texts", t, "--keep", "0.5", "--pool", "state"}, kUsageError, {"--pool state"});
  refuse({"--texts", t, "--keep", "0.5", "--protect", "3"}, kUsageError,
         {"--protect: expected fewer", "got 3"});
  refuse({"--texts", t, "--keep", "0.5", "--reference", "4"}, kUsageError, {"0 to 3", "'4'"});
  refuse({"--texts", t, "--keep", "0.5", "--reference", "best"}, kUsageError, {"scored sentence"});
  refuse({"--texts", t, "--keep", "0.5", "--objective", "label"}, kUsageError, {"scored sentence"});
  refuse({"--texts", t, "--keep", "0.5", "--method", "bi", "--scan", "echo"}, kUsageError,
         {"--scan", "echo"});
  refuse({"--tasks", "nosuch", "--keep", "0.5"}, kUsageError, {"nosuch"});
  refuse({"--tasks", "mrpc", "--data", bench.data(), "--keep", "0.5"}, kDataError,
         {"mrpc: missing: train"});
  refuse({"--texts", t, "--remove", "7"}, kDataError, {"7 of 6"});
  refuse({"--texts", t, "--keep", "0.1", "--protect", "2"}, kDataError, {"first 2 blocks"});
  refuse({"--texts", bench.file("none.txt"), "--keep", "0.5"}, kDataError, {"none.txt"});
  expect_refused(bench.run("prune", {"--texts", t, "--keep", "0.5"}), kUsageError, {"--output"});
  expect_refused(
      bench.run("prune", {"--texts", t, "--keep", "0.5", "-o", bench.file("no/folder/p.policy")}),
      kDataError, {"p.policy", "no such folder"});
}

}  // namespace
}  // namespace fathom::test::prune_test
