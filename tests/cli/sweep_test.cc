// SPDX-License-Identifier: Apache-2.0
// fathom sweep and fathom advise on small tasks made here: results, kills at several moments,
// refusals.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/json.h"
#include "cli/models.h"
#include "eval/small_glue.h"
#include "paths.h"
#include "study/sweep_result.h"

namespace fathom::test::sweep_test {
namespace {

using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;

// A data folder with MRPC, CoLA and STS-B of `n` rows a split, and a model of three layers.
class Workbench {
 public:
  explicit Workbench(size_t n = 96) : model(byte_model(folder)) {
    // No head is sure of all rows.
    write_glue(folder, n, [](size_t i) { return size_t{(i % 5 == 0) != (i % 2 == 1)}; });
  }

  std::vector<std::string> sweep(std::vector<std::string> flags) const {
    const std::vector<std::string> first = {
        "sweep",       model, "--data",         folder.file("data"),
        "--bootstrap", "40",  "--pass-seconds", "0.001"};
    flags.insert(flags.begin(), first.begin(), first.end());
    return flags;
  }
  Outcome advise(std::vector<std::string> flags) const {
    const std::vector<std::string> first = {"advise",      model, "--data", folder.file("data"),
                                            "--bootstrap", "40"};
    flags.insert(flags.begin(), first.begin(), first.end());
    return run_fathom(flags);
  }
  std::string file(const std::string& name) const { return folder.file(name); }

  TempFolder folder;
  std::string model;
};

Json json_of(const std::string& path) { return Json::parse(read_whole(path)); }

const Json& policy_of(const Json& task, std::string_view name) {
  for (const Json& p : task["policies"])
    if (p["policy"] == name) return p;
  throw Error(concat("no policy ", name));
}

size_t n_part(const std::filesystem::path& folder) {
  std::error_code none;
  size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "parts", none))
    n += entry.path().extension() == ".json";
  return n;
}

// Starts the program in a folder, kills it with SIGKILL once there are n parts, and says whether it
// was still running.
bool kill_after_parts(const std::vector<std::string>& arguments, const std::string& folder,
                      size_t n) {
  std::vector<std::string> all = arguments;
  all.insert(all.begin(), test::kBinary);
  const std::vector<std::string> environment = detail::environment_for({});
  const std::vector<char*> argv = detail::pointers(all), envp = detail::pointers(environment);
  const pid_t child = ::fork();
  FATHOM_REQUIRE(child >= 0, "fork failed");
  if (child == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    for (int descriptor : {0, 1, 2}) ::dup2(null, descriptor);
    if (::chdir(folder.c_str()) != 0) ::_exit(126);
    ::execve(test::kBinary, argv.data(), envp.data());
    ::_exit(127);
  }
  const std::filesystem::path out = std::filesystem::path(folder) / "out";
  int status = 0;
  pid_t ended = 0;
  while (ended == 0 && (n == 0 ? !std::filesystem::exists(out / "features") : n_part(out) < n)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ended = ::waitpid(child, &status, WNOHANG);
  }
  if (ended == 0) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

TEST(Sweep, WritesResultsOfEveryPolicy) {
  const Workbench bench(360);
  const Outcome run = run_ok(
      bench.sweep({"--tasks", "cola,wnli,stsb", "--time-points", "2", "-o", bench.file("out")}));
  EXPECT_EQ(lines_of(run.err).size(), 1u) << "no bar, and one line for what is missing";
  EXPECT_THAT(run.err, HasSubstr("wnli: missing: "));
  EXPECT_THAT(run.out,
              HasSubstr("matthews of 360 rows of validation, heads on 252, thresholds on 72"));
  EXPECT_THAT(run.out, HasSubstr("Mean over tasks"));
  EXPECT_THAT(run.out, HasSubstr("cola: exit:patience has 3 operating points"));

  const std::string text = read_whole(bench.file("out/results.json"));
  EXPECT_EQ(
      dump_json(to_json(sweep_result_from_json(parse_ordered_json(text), "results.json")), 1) +
          "\n",
      text)
      << "read by the library and written again";
  const Json results = Json::parse(text);
  EXPECT_EQ(results["missing"].size(), 1u);
  ASSERT_EQ(results["tasks"].size(), 2u);
  const Json &cola = results["tasks"][0], &stsb = results["tasks"][1];
  EXPECT_EQ(cola["policies"].size(), 5 + 7u)
      << "score needs pairs; max-prob, margin and entropy are one on two classes";
  EXPECT_EQ(stsb["policies"].size(), 5 + 4u) << "patience, saturation, score, learned";
  EXPECT_EQ(policy_of(cola, "embedding")["points"].size(), 1u);
  EXPECT_EQ(policy_of(cola, "fixed")["points"].size(), 3u);
  EXPECT_EQ(policy_of(cola, "fixed")["points"][0]["setting"], "layer 1");
  EXPECT_EQ(policy_of(cola, "fixed")["elue"]["high"], 0);
  const Json& entropy = policy_of(cola, "exit:max-prob");
  EXPECT_EQ(entropy["also"], Json({"exit:margin", "exit:entropy"}));
  EXPECT_GE(entropy["points"].size(), 8u);
  for (const Json& p : entropy["points"]) {
    size_t n = 0;
    for (const Json& at : p["n_exit"]) n += at.get<size_t>();
    EXPECT_EQ(n, 360u);
    EXPECT_LE(p["low"], p["score"]);
    EXPECT_GE(p["high"], p["score"]);
    EXPECT_TRUE(p["shuffled_score"].is_number());
  }
  EXPECT_EQ(entropy["guarantee"]["n_example"], 360 + 72);
  EXPECT_LE(entropy["guarantee"]["allowed"], 18);
  EXPECT_LE(entropy["guarantee"]["learn_then_test"]["population"], entropy["guarantee"]["allowed"]);
  const Json& boundary = entropy["guarantee"]["boundary"];
  EXPECT_EQ(boundary["n_draw"], 4000);
  EXPECT_LE(boundary["learn_then_test"], boundary["allowed"]);
  EXPECT_GT(boundary["naive"], boundary["allowed"]);
  EXPECT_FALSE(policy_of(cola, "exit:max-prob")["reliability"].empty());
  for (const Json& p : cola["policies"]) {
    ASSERT_FALSE(p["times"].empty()) << p["policy"];
    for (const Json& t : p["times"]) {
      EXPECT_GT(t["packed_seconds"], 0);
      EXPECT_GT(t["batch1_seconds"], 0);
      EXPECT_GT(t["predicted_share"], -1e-12);
    }
  }
  // Full depth is as many FLOPs as full depth.
  EXPECT_DOUBLE_EQ(policy_of(cola, "fixed")["times"].back()["predicted_share"], 1);
  for (const char* key : {"best_fixed_layer", "verdict", "embedding_score"})
    EXPECT_TRUE(cola["answer"].contains(key)) << key;

  const std::vector<std::string> csv = lines_of(read_whole(bench.file("out/results.csv")));
  EXPECT_THAT(csv[0], testing::StartsWith("task,policy,setting,metric,flops"));
  size_t n_point = 0;
  for (const Json& task : results["tasks"])
    for (const Json& p : task["policies"]) n_point += p["points"].size();
  EXPECT_EQ(csv.size(), 1 + n_point);
  EXPECT_THAT(lines_of(read_whole(bench.file("out/exits.csv")))[0], HasSubstr("exit_layer"));
  const std::string page = read_whole(bench.file("out/report.html"));
  for (const char* part :
       {"quality against FLOPs", "quality against measured time", "where examples leave",
        "calibration of the heads", "The guarantee over random splits", "Predicted and measured",
        "the strongest fixed depth", "first+layer, ensemble, envelope, all rows",
        "by the length of the text", "Time of a call"})
    EXPECT_THAT(page, HasSubstr(part));
}

// Whatever is there when the program dies: vectors half done, no result, some, all but one.
TEST(Sweep, ResumedAfterKillsItWritesTheSameBytes) {
  const Workbench bench;
  const std::vector<std::string> flags = bench.sweep(
      {"--tasks", "mrpc,cola", "--no-timing", "-o", "out", "--features", "out/features"});
  std::filesystem::create_directories(bench.file("whole"));
  std::filesystem::create_directories(bench.file("killed"));
  const Outcome whole = run_ok(flags, {.folder = bench.file("whole")});
  const size_t n_all = n_part(bench.file("whole/out"));
  ASSERT_GT(n_all, 20u);
  size_t n_killed = 0;
  for (size_t n : {size_t{0}, size_t{1}, size_t{4}, n_all / 2, n_all - 1})
    n_killed += kill_after_parts(flags, bench.file("killed"), n);
  EXPECT_GE(n_killed, 4u);
  EXPECT_FALSE(std::filesystem::exists(bench.file("killed/out/results.json")));
  const Outcome resumed = run_ok(flags, {.folder = bench.file("killed")});
  EXPECT_EQ(resumed.out, whole.out);
  for (const char* name : {"results.json", "results.csv", "gains.csv", "exits.csv", "report.html"})
    EXPECT_EQ(read_whole(bench.file(concat("killed/out/", name))),
              read_whole(bench.file(concat("whole/out/", name))))
        << name;
}

// What is kept is not computed again, times neither; what depends on a flag that changed is.
TEST(Sweep, KeepsPartsAndKnowsWhatTheyDependOn) {
  const Workbench bench;
  const auto sweep = [&](std::vector<std::string> more) {
    more.insert(more.end(),
                {"--tasks", "cola", "--policies", "exit:entropy", "-o", bench.file("out")});
    run_ok(bench.sweep(more));
    return read_whole(bench.file("out/results.json"));
  };
  const std::string first = sweep({});
  EXPECT_EQ(n_part(bench.file("out")), 6u)
      << "the shift, fixed and entropy, each with its times, and a seed";
  EXPECT_EQ(sweep({}), first) << "times included";
  for (const auto& entry : std::filesystem::directory_iterator(bench.file("out/parts")))
    if (entry.path().string().find("cola-exit-entropy") != std::string::npos)
      bench.folder.write("out/parts/" + entry.path().filename().string(), "{\"key\":");
  const Json again = Json::parse(sweep({})), before = Json::parse(first);
  EXPECT_EQ(again["tasks"][0]["policies"][1]["points"], before["tasks"][0]["policies"][1]["points"])
      << "a damaged part is made anew";
  sweep({"--seed", "2"});
  EXPECT_EQ(n_part(bench.file("out")), 12u);
}

TEST(Sweep, RunsPolicyFiles) {
  const Workbench bench;
  const std::string exit = bench.file("exit.policy"), mask = bench.file("mask.policy");
  run_ok({"fit", bench.model, "--data", bench.file("data"), "--task", "cola", "-o", exit,
          "--max-loss", "0.3"});
  ASSERT_EQ(bench.advise({"--task", "cola", "--policies", "fixed", "--max-loss", "90%", "-o", mask})
                .exit_code,
            0);
  run_ok(bench.sweep({"--tasks", "cola", "--policies", concat("fixed,exit:", exit, ",mask:", mask),
                      "-o", bench.file("out")}));
  const Json task = json_of(bench.file("out/results.json"))["tasks"][0];
  const Json &own = policy_of(task, "exit:" + exit), &fitted = policy_of(task, "mask:" + mask);
  EXPECT_EQ(own["points"].size(), 1u);
  EXPECT_EQ(own["fitted"]["data"], "cola");
  EXPECT_EQ(fitted["times"].size(), 1u);
  // The mask keeps the first blocks: the quality of that layer, a head fitted on the same vectors.
  const size_t depth = fitted["points"][0]["mean_layer"];
  EXPECT_EQ(fitted["points"][0]["score"], policy_of(task, "fixed")["points"][depth - 1]["score"]);
  EXPECT_THAT(read_whole(bench.file("out/report.html")),
              HasSubstr("Policy files beside each other"));
}

// What fathom route found out about its own file is told beside what the file does on the tasks.
TEST(Sweep, TellsWhatARouteGains) {
  const Workbench bench;
  const std::string route = bench.file("r.policy");
  run_ok({"route", bench.model, "--data", bench.file("data"), "--tasks", "stsb", "--clusters", "2",
          "--keep", "0.7", "--sample", "8", "--held-out", "6", "--reference", "full", "-o", route});
  run_ok(bench.sweep({"--tasks", "cola", "--policies", concat("route:", route), "--no-timing", "-o",
                      bench.file("out")}));
  const Json task = json_of(bench.file("out/results.json"))["tasks"][0];
  const Json& held_out = policy_of(task, "route:" + route)["fitted"]["held_out"];
  EXPECT_TRUE(held_out["global"].contains("gain"));
  const std::string page = read_whole(bench.file("out/report.html"));
  EXPECT_THAT(page, HasSubstr("Gain of routing over it"));
  for (const char* baseline : {"global", "random", "oracle"})
    EXPECT_THAT(page, HasSubstr(concat(">", baseline, "<")));
}

TEST(Sweep, RefusesWhatItCannotUse) {
  const Workbench bench;
  const auto refused = [&](std::vector<std::string> flags, int code, const std::string& name) {
    flags.insert(flags.end(), {"-o", bench.file("out")});
    expect_refused(run_fathom(bench.sweep(flags)), code, {name});
    EXPECT_FALSE(std::filesystem::exists(bench.file("out/results.json")));
  };
  refused({"--tasks", "nli"}, kUsageError, "task nli is not known");
  refused({"--tasks", ","}, kUsageError, "--tasks: expected at least one");
  refused({"--policies", "luck"}, kUsageError, "got 'luck'");
  refused({"--policies", ","}, kUsageError, "--policies: expected at least one");
  refused({"--points", "7"}, kUsageError, "--points");
  refused({"--seeds", "0"}, kUsageError, "--seeds");
  refused({"--head-input", "layer,last"}, kUsageError, "--head-input: expected some of layer, ");
  refused({"--post", "pca"}, kUsageError, "post-processing 'pca'");
  refused({"--feature-dtype", "f16"}, kUsageError, "f32 or bf16");
  refused({"--policies", "mask:none.policy"}, kDataError, "none.policy");
  refused({"--policies", "exit:entropie"}, kDataError, "entropie");
  const Outcome missing = run_fathom(bench.sweep({"--tasks", "wnli", "-o", bench.file("out")}));
  EXPECT_EQ(missing.exit_code, kDataError);
  EXPECT_THAT(missing.err, HasSubstr("none of the tasks has its data"));
  expect_refused(run_fathom({"sweep", bench.model}), kUsageError, {"--output"});
  expect_refused(
      run_fathom({"sweep", bench.model, "--data", bench.file("nowhere"), "-o", bench.file("out")}),
      kDataError, {"nowhere"});
}

TEST(Advise, WritesThePolicyThatItNames) {
  const Workbench bench;
  const std::string out = bench.file("a.policy");
  const Outcome run = bench.advise({"--task", "cola", "--max-loss", "20%", "-o", out});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(
      lines_of(run.err),
      ElementsAre(HasSubstr("cola: 20 calibration rows, 8 policies at 0.05 / 8: the bound of "
                            "matthews is a bootstrap's, which is no proof"),
                  HasSubstr("exit:margin is exit:max-prob on two classes and counts once"),
                  HasSubstr("exit:entropy is exit:max-prob on two classes and counts once")));
  EXPECT_THAT(run.out, ContainsRegex("chosen on calibration +20 rows: saves .* % \\["));
  EXPECT_THAT(run.out, ContainsRegex("validation +96 rows: saves"));
  EXPECT_THAT(run.out, ContainsRegex("time, of full depth's: .* packed, .* at batch 1"));
  const std::vector<std::string> lines = lines_of(run.out);
  EXPECT_THAT(lines[lines.size() - 3], ContainsRegex("^Chosen: .*, on 20 calibration rows\\.$"));
  EXPECT_THAT(lines[lines.size() - 2],
              ContainsRegex("^On 96 rows of validation, not used for the choice: saves "));
  EXPECT_THAT(lines.back(), ContainsRegex("^Use it: fathom (embed|classify) .*a.policy"));
  const Outcome show = run_ok({"policy", "show", out});
  EXPECT_THAT(show.out, HasSubstr("cola"));
  const bool is_exit = run.out.find(": exit:") != std::string::npos;
  run_ok({"embed", bench.model, "-i", bench.folder.write("s.txt", "red cat\nblue dog\n"), "-o",
          bench.file("e.npy"), "--depth", concat(is_exit ? "exit:" : "mask:", out)});
}

TEST(Advise, GivesAGuaranteeOrFullDepth) {
  const Workbench bench;
  const std::string out = bench.file("a.policy");
  const Outcome run =
      bench.advise({"--task", "stsb", "--max-loss", "1%", "--guarantee", "0.05", "-o", out});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, ContainsRegex(
                           "stsb: .* calibration rows, 5 policies at 0.05 / 5: they certify a loss "
                           "of .* % at best, and 1 % takes 459 rows .*: full depth will be the "
                           "advice"));
  EXPECT_THAT(lines_of(run.out)[0], HasSubstr("Nothing was certified: "));
  EXPECT_THAT(lines_of(run.out)[0], HasSubstr(" rows count, 459 without a single loss"));
  const Json fitted = Json::parse(run_ok({"policy", "show", out, "--json"}).out)["fitted"];
  EXPECT_EQ(fitted["promise"], "answers");
  EXPECT_EQ(fitted["certified"], false);
  EXPECT_EQ(fitted["rows_needed"], 459);
}

TEST(Advise, WithoutAPromiseChoosesOnHalfAndTellsOfTheOther) {
  const Workbench bench;
  const Outcome run = bench.advise(
      {"--task", "mrpc", "--max-loss", "40%", "--optimistic", "-o", bench.file("a.policy")});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, ContainsRegex("held-out calibration +[0-9]+ rows: saves"));
  const Json json = Json::parse(bench
                                    .advise({"--task", "mrpc", "--max-loss", "40%", "--optimistic",
                                             "-o", bench.file("a.policy"), "--json"})
                                    .out);
  EXPECT_EQ(json["fitted"]["promise"], "none");
  EXPECT_THAT(json["closing"]["effect"].get<std::string>(), HasSubstr("held-out calibration rows"));
  EXPECT_TRUE(json["time"]["packed_share"].is_number());
  EXPECT_THAT(run.out, testing::Not(HasSubstr("promised with probability")));
}

// Rows of another task in place of the calibration tenths.
TEST(Advise, CalibratesOnOtherRows) {
  const Workbench bench;
  std::filesystem::create_directories(bench.file("data/glue/SST-2"));
  std::string rows = "sentence\tlabel\n";
  for (size_t i = 0; i < 80; ++i)
    rows += concat("other words ", i, i % 2 ? " up" : " down", "\t", i % 2, "\n");
  rows += "red\t1\n";
  bench.folder.write("data/glue/SST-2/train.tsv", rows);
  const Outcome run = bench.advise({"--task", "cola", "--calibrate-on", "sst2:50", "--optimistic",
                                    "--max-loss", "50%", "-o", bench.file("a.policy")});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("calibrated on 50 rows of sst2, drawn by seed 1"));
  EXPECT_THAT(run.out, ContainsRegex("held-out calibration +25 rows"));
  EXPECT_THAT(lines_of(run.out)[0] + lines_of(run.out)[1] + lines_of(run.out)[2],
              HasSubstr("the calibration rows are not like those of validation"));
}

TEST(Advise, RefusesWhatItCannotUse) {
  const Workbench bench;
  const std::string out = bench.file("a.policy");
  const auto refused = [&](std::vector<std::string> flags, int code, const std::string& name) {
    flags.insert(flags.end(), {"-o", out});
    expect_refused(bench.advise(flags), code, {name});
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  refused({"--task", "cola", "--max-loss", "lots"}, kUsageError, "got 'lots'");
  refused({"--task", "cola", "--max-loss", "100%"}, kUsageError, "--max-loss");
  refused({"--task", "cola", "--policies", "oracle"}, kUsageError, "oracle is a baseline");
  refused({"--task", "cola", "--guarantee", "2"}, kUsageError, "--guarantee");
  refused({"--task", "cola", "--guarantee", "0.1", "--max-loss", "0"}, kUsageError, "above 0");
  refused({"--task", "cola", "--optimistic", "--guarantee", "0.1"}, kUsageError, "--optimistic");
  refused({"--task", "cola", "--calibrate-on", "mrpc"}, kUsageError, "--calibrate-on: expected");
  refused({"--task", "cola", "--calibrate-on", "sst2:x"}, kUsageError, "TASK or TASK:N");
  refused({"--task", "nli"}, kUsageError, "task nli is not known");
  refused({"--task", "rte"}, kDataError, "rte: ");
  refused({"--task", "stsb", "--policies", "exit:entropy"}, kDataError, "none of them fits stsb");
  refused({"--task", "cola", "--policies", "mask:none.policy"}, kDataError, "none.policy");
}

}  // namespace
}  // namespace fathom::test::sweep_test
