// SPDX-License-Identifier: Apache-2.0
// Rows that are left out, in what every command says and writes; and a task's own folder as data.
#include "base/json.h"
#include "cli/models.h"
#include "cli/program.h"
#include "eval/small_glue.h"

namespace fathom::test::data_rows_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// MRPC, CoLA and STS-B of 60 rows; one sentence of each file is empty, in line 12.
class OneEmpty {
 public:
  OneEmpty() : model(byte_model(folder)) {
    write_glue(folder, 60, [](size_t i) { return i % 2; });
    for (const char* file : {"MRPC/train.tsv", "MRPC/dev.tsv", "STS-B/train.tsv", "STS-B/dev.tsv",
                             "CoLA/train.tsv", "CoLA/dev.tsv"}) {
      const auto path = folder.file(concat("data/glue/", file));
      std::vector<std::string> lines = lines_of(read_whole(path));
      std::string& line = lines.at(11);
      if (std::string_view(file).starts_with("STS-B"))
        line = "9\tsome words\t\t2.5";
      else
        line.erase(line.rfind('\t') + 1);
      std::string text;
      for (const std::string& l : lines) text += l + "\n";
      std::filesystem::remove(path);
      folder.write(concat("data/glue/", file), text);
    }
    data = folder.file("data");
  }
  std::string file(const char* name) const { return folder.file(name); }

  TempFolder folder;
  std::string model, data;
};

TEST(EmptySentences, EvalLeavesThemOutAndSaysSo) {
  const OneEmpty b;
  const Outcome run = run_ok({"eval", b.model, "--data", b.data, "--out", b.file("out"),
                              "--no-timing", "--bootstrap", "50", "--task", "mrpc"});
  EXPECT_THAT(run.err, AllOf(HasSubstr("1 row of mrpc, validation"), HasSubstr("empty sentence"),
                             HasSubstr("dev.tsv:12"), HasSubstr("train.tsv:12")));
  const Json results = Json::parse(read_whole(b.file("out/results.json")));
  EXPECT_EQ(results["rows"][0]["n"], 59);
  EXPECT_EQ(results["settings"]["left_out"]["validation"]["empty"], 1);
  EXPECT_EQ(results["settings"]["left_out"]["train"]["empty"], 1);
  EXPECT_EQ(results["settings"]["left_out"]["validation"]["damaged"], 0);
  EXPECT_THAT(read_whole(b.file("out/report.html")),
              AllOf(HasSubstr("empty sentence"), HasSubstr("dev.tsv:12")));
  run_ok({"eval", b.model, "--data", b.data, "--out", b.file("two"), "--no-timing", "--bootstrap",
          "50", "--task", "mrpc,stsb"});
  const Json both = Json::parse(read_whole(b.file("two/results.json")));
  for (const Json& task : both["tasks"]) EXPECT_EQ(task["left_out"]["validation"]["empty"], 1);
}

TEST(EmptySentences, FitSweepAndAdviseLeaveThemOutAndSaySo) {
  const OneEmpty b;
  const Outcome fit =
      run_ok({"fit", b.model, "--data", b.data, "--task", "cola", "--heads",
              b.file("h.safetensors"), "-o", b.file("p"), "--bootstrap", "50", "--max-loss", "1"});
  EXPECT_THAT(fit.err, AllOf(HasSubstr("train.tsv:12"), HasSubstr("dev.tsv:12")));
  const Json policy = Json::parse(run_ok({"policy", "show", b.file("p"), "--json"}).out);
  EXPECT_EQ(policy["fitted"]["left_out"]["train"]["empty"], 1);
  EXPECT_EQ(policy["fitted"]["left_out"]["validation"]["empty"], 1);
  const Outcome sweep =
      run_ok({"sweep", b.model, "--data", b.data, "--tasks", "cola", "--policies", "fixed",
              "--no-timing", "--bootstrap", "20", "-o", b.file("sweep")});
  EXPECT_THAT(sweep.err, HasSubstr("train.tsv:12"));
  const Json swept = Json::parse(read_whole(b.file("sweep/results.json")));
  EXPECT_EQ(swept["tasks"][0]["left_out"]["train"]["empty"], 1);
  EXPECT_EQ(swept["tasks"][0]["n"], 59);
  EXPECT_THAT(read_whole(b.file("sweep/report.html")), HasSubstr("empty sentence"));
  const Outcome advise = run_ok({"advise", b.model, "--data", b.data, "--task", "cola",
                                 "--policies", "fixed", "--bootstrap", "20", "-o", b.file("a")});
  EXPECT_THAT(advise.err, HasSubstr("train.tsv:12"));
  EXPECT_EQ(Json::parse(run_ok({"policy", "show", b.file("a"), "--json"})
                            .out)["fitted"]["left_out"]["train"]["empty"],
            1);
}

TEST(EmptySentences, PruneAndRouteLeaveThemOutAndSaySo) {
  const OneEmpty b;
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"prune"}, std::vector<std::string>{"route", "--clusters", "2"}}) {
    std::vector<std::string> all = command;
    all.insert(all.begin() + 1, b.model);
    all.insert(all.end(), {"--tasks", "stsb", "--data", b.data, "--remove", "1", "--sample", "25",
                           "--held-out", "15", "-o", b.file("m"), "--json"});
    const Outcome run = run_ok(all);
    EXPECT_THAT(run.err, AllOf(HasSubstr("empty sentence"), HasSubstr("train.tsv:12")));
    EXPECT_EQ(Json::parse(run.out)["left_out"]["empty"], 1);
  }
}

TEST(StsSets, OneWithoutGoldValuesIsSaid) {
  const TempFolder folder;
  std::filesystem::create_directories(folder.file("STS13"));
  for (const char* set : {"FNWN", "headlines", "OnWN"}) {
    std::string input, gold;
    for (int i = 0; i < 8; ++i) {
      input += concat(sentence(i), "\t", sentence(i + 7 * (i % 2)), "\n");
      gold += std::string_view(set) == "headlines" ? std::string("\n") : concat(i % 5, "\n");
    }
    folder.write(concat("STS13/STS.input.", set, ".txt"), input);
    folder.write(concat("STS13/STS.gs.", set, ".txt"), gold);
  }
  const std::string out = folder.file("out");
  const Outcome run =
      run_ok({"eval", byte_model(folder), "--task", "sts13", "--data", folder.path(), "--out", out,
              "--no-timing", "--bootstrap", "20", "--layers", "1"});
  EXPECT_THAT(run.err, AllOf(HasSubstr("set headlines"), HasSubstr("mean of sets")));
  const Json results = Json::parse(read_whole(out + "/results.json"));
  EXPECT_EQ(results["settings"]["left_out"]["test"]["sets_without_gold"], Json({"headlines"}));
  EXPECT_EQ(results["settings"]["left_out"]["test"]["unscored"], 8);
  EXPECT_THAT(results["notes"].dump(), HasSubstr("headlines"));
  EXPECT_THAT(read_whole(out + "/report.html"), HasSubstr("set headlines"));
}

TEST(Data, ATasksOwnFolderRunsThatTask) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  std::filesystem::create_directories(folder.file("some/RTE"));
  std::string rte = "index\tsentence1\tsentence2\tlabel\n";
  for (int i = 0; i < 12; ++i)
    rte += concat(i, "\t", sentence(i), "\t", sentence(i + 7 * (i % 2)), "\t",
                  i % 2 ? "not_entailment" : "entailment", "\n");
  folder.write("some/RTE/dev.tsv", rte);
  folder.write("some/dev.tsv", rte);
  for (const char* data : {"some/RTE", "some"}) {
    if (std::string_view(data) == "some") std::filesystem::remove_all(folder.file("some/RTE"));
    const std::string out = folder.file("out");
    const Outcome run = run_ok({"eval", model, "--data", folder.file(data), "--task", "all",
                                "--out", out, "--no-timing", "--bootstrap", "20"});
    EXPECT_THAT(run.err, HasSubstr("mrpc: missing: validation"));
    const Json results = Json::parse(read_whole(out + "/results.json"));
    size_t n_ok = 0;
    for (const Json& task : results["tasks"])
      if (task["status"] == "ok") {
        ++n_ok;
        EXPECT_EQ(task["task"], "rte");
      }
    EXPECT_EQ(n_ok, 1u);
  }
}

TEST(Layers, OneAskedTwiceIsGivenOnceAndSaid) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  for (const char* ending : {".npy", ".safetensors", ".jsonl", ".csv"}) {
    const std::string twice = folder.file(concat("twice", ending)),
                      once = folder.file(concat("once", ending));
    const Outcome run =
        run_ok({"embed", model, "-o", twice, "--layers", "1-2,2-3,1"}, {.input = "a b\nc\n"});
    EXPECT_THAT(run.err,
                AllOf(HasSubstr("layer 1"), HasSubstr("layer 2"), HasSubstr("given once")));
    run_ok({"embed", model, "-o", once, "--layers", "1-3"}, {.input = "a b\nc\n"});
    if (std::string_view(ending) != ".safetensors") {  // which names its command
      EXPECT_EQ(read_whole(twice), read_whole(once));
    } else {
      EXPECT_EQ(read_arrays(twice).size(), 3u);
    }
  }
  run_ok({"eval", model, "--data", test::kSourceDir, "--task", "sample", "--sample", "20", "--out",
          folder.file("out"), "--no-timing", "--bootstrap", "20", "--layers", "2,1,2"});
  expect_refused(
      run_fathom({"embed", model, "-o", folder.file("e.npy"), "--layers", "-1"}, {.input = "a\n"}),
      kUsageError, {"--layers", "got '-1'", "0 to 3"});
  expect_refused(run_fathom({"embed", model, "-o", folder.file("e.npy"), "--layers", "1,-2,3"},
                            {.input = "a\n"}),
                 kUsageError, {"got '-2' in '1,-2,3'"});
}

}  // namespace
}  // namespace fathom::test::data_rows_test
