// SPDX-License-Identifier: Apache-2.0
// fathom route: both routers write a policy that other commands take; what it tells and refuses.
#include "cli/mask_bench.h"

namespace fathom::test::route_test {
namespace {

using testing::HasSubstr;

TEST(Route, BothRoutersWriteAPolicy) {
  const MaskWorkbench bench;
  const std::string out = bench.file("r.policy");
  for (const char* router : {"centroid", "ridge"}) {
    SCOPED_TRACE(router);
    const Outcome run =
        bench.run("route", {"--texts", bench.texts, "--clusters", "3", "--keep", "0.7", "--router",
                            router, "--bootstrap", "200", "-o", out});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.err, "");
    for (const char* text : {"one mask for all", "random masks, mean", "shuffled at random",
                             "the best mask of every text", "fitted on 20 texts, figures on 15"})
      EXPECT_THAT(run.out, HasSubstr(text));
    EXPECT_THAT(run.out, testing::ContainsRegex(
                             "\nChosen: . masks, one of them for every text .*\nOn 15 texts, "
                             "not used for the choice: saves .*\nUse it: "));
    const Json policy = bench.policy(out);
    EXPECT_EQ(policy["kind"], "route");
    EXPECT_EQ(policy["route"]["router"], router);
    EXPECT_EQ(policy["route"]["layer"], 1);
    // Clusters that found one mask are one.
    EXPECT_GE(policy["route"]["masks"].size(), 2u);
    EXPECT_LE(policy["route"]["masks"].size(), 3u);
    const Json& fitted = policy["fitted"];
    EXPECT_EQ(fitted["data"], bench.texts);
    EXPECT_EQ(fitted["n_held_out"], 15);
    EXPECT_EQ(fitted.contains("kappa"), std::string(router) == "ridge");
    for (const char* name : {"global", "random", "shuffled", "oracle", "truncated"}) {
      const Json& row = fitted["held_out"][name];
      EXPECT_LE(row["gain_low"].get<double>(), row["gain"].get<double>()) << name;
      EXPECT_GE(row["gain_high"].get<double>(), row["gain"].get<double>()) << name;
      EXPECT_NEAR(row["gain"].get<double>(),
                  row["loss"].get<double>() - fitted["held_out"]["routed"]["loss"].get<double>(),
                  1e-12);
    }
    EXPECT_LE(fitted["held_out"]["oracle"]["gain"].get<double>(), 1e-9) << "nothing beats it";
    EXPECT_THAT(bench.embed("route:" + out).shape, testing::ElementsAre(60, 24));
    EXPECT_THAT(run_ok({"policy", "show", out}).out, HasSubstr("at layer 1"));
  }
}

TEST(Route, JsonOfScoredPairs) {
  const MaskWorkbench bench(Version::kV7);
  const Outcome run = bench.run("route", {"--tasks",
                                          "stsb",
                                          "--data",
                                          bench.data(),
                                          "--clusters",
                                          "2",
                                          "--remove",
                                          "2",
                                          "--layer",
                                          "0",
                                          "--post",
                                          "centre",
                                          "--reference",
                                          "2",
                                          "--json",
                                          "--bootstrap",
                                          "50",
                                          "-o",
                                          bench.file("r.policy"),
                                          "--global",
                                          bench.file("g.policy")});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(bench.policy(bench.file("g.policy"))["kind"], "mask");
  const Json json = Json::parse(run.out);
  EXPECT_EQ(json["layer"], 0);
  EXPECT_EQ(json["reference_layer"], 2);
  EXPECT_EQ(json["data"], "stsb, train");
  ASSERT_GE(json["masks"].size(), 1u);
  ASSERT_LE(json["masks"].size(), 2u);
  size_t n_text = 0, n_routed = 0;
  for (const Json& mask : json["masks"]) {
    n_text += mask["n_text"].get<size_t>();
    n_routed += mask["n_routed"].get<size_t>();
  }
  EXPECT_EQ(n_text, json["n_text"].get<size_t>());
  EXPECT_EQ(n_routed, json["n_held_out"].get<size_t>());
  EXPECT_TRUE(json["held_out"]["global"]["gain"].is_number());
}

TEST(Route, ASeedIsARun) {
  const MaskWorkbench bench;
  const auto route = [&](const char* seed) {
    return bench
        .run("route", {"--texts", bench.texts, "--clusters", "2", "--keep", "0.7", "--seed", seed,
                       "--bootstrap", "50", "-o", bench.file("r.policy")})
        .out;
  };
  const std::string first = route("3");
  EXPECT_EQ(route("3"), first);
  EXPECT_NE(route("4"), first);
}

TEST(Route, RefusesWhatCannotBe) {
  const MaskWorkbench bench;
  const std::string out = bench.file("r.policy");
  const auto refuse = [&](std::vector<std::string> flags, int exit_code,
                          std::vector<std::string> names) {
    SCOPED_TRACE(testing::PrintToString(flags));
    flags.insert(flags.end(), {"--texts", bench.texts, "-o", out});
    expect_refused(bench.run("route", flags), exit_code, names);
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  refuse({"--keep", "0.5", "--router", "luck"}, kUsageError, {"--router", "'luck'"});
  refuse({"--keep", "0.5", "--clusters", "0"}, kUsageError, {"--clusters"});
  refuse({"--keep", "0.5", "--layer", "3"}, kUsageError, {"--layer", "0 to 2", "3"});
  refuse({"--keep", "0.5", "--post", "pca"}, kUsageError, {"pca"});
  refuse({"--keep", "0.5", "--scan", "both"}, kUsageError, {"--scan both"});
  refuse({"--keep", "0.5", "--tasks", "stsb"}, kUsageError, {"either"});
  refuse({"--keep", "0.5", "--bootstrap", "0"}, kUsageError, {"--bootstrap"});
  refuse({}, kUsageError, {"--keep", "--remove"});
  refuse({"--keep", "0.5", "--clusters", "21"}, kDataError, {"20 vectors", "21 clusters"});
  refuse({"--keep", "0.2", "--layer", "2"}, kDataError, {"first 2 blocks"});
  expect_refused(bench.run("route", {"--texts", bench.texts, "--keep", "0.5"}), kUsageError,
                 {"--output"});
}

}  // namespace
}  // namespace fathom::test::route_test
