// SPDX-License-Identifier: Apache-2.0
// A user's own table through the program: columns out and in, own tasks, recommendations. The whole
// way is in newcomer.sh.
#include <fstream>

#include "base/json.h"
#include "cli/models.h"
#include "eval/small_glue.h"

namespace fathom::test::own_data_test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string table(const TempFolder& folder, size_t n) {
  std::string csv = "id,text,kind\n";
  for (size_t i = 0; i < n; ++i)
    csv += concat("n", i, ",\"", i % 2 ? "sun, " : "rain, ", sentence(i),
                  i % 2 ? "\",bright\n" : "\",wet\n");
  return folder.write("own.csv", csv);
}

TEST(OwnData, EmbedCarriesIdTextAndLabel) {
  const TempFolder folder;
  const std::string model = byte_model(folder), csv = table(folder, 3),
                    out = folder.file("e.jsonl");
  expect_refused(run_fathom({"embed", model, "-i", csv, "-o", out}), kUsageError,
                 {"own.csv", "--field", "id, text, kind"});
  run_ok({"embed", model, "-i", csv, "--field", "text", "--id-field", "id", "--label-field", "kind",
          "--with-text", "-o", out, "--layers", "1"});
  const Json first = Json::parse(lines_of(read_whole(out))[0]);
  EXPECT_EQ(first["line"], 2);
  EXPECT_EQ(first["id"], "n0");
  EXPECT_EQ(first["label"], "wet");
  EXPECT_EQ(first["text"].get<std::string>().substr(0, 6), "rain, ");
  EXPECT_EQ(first["embedding"].size(), 24u);
  EXPECT_FALSE(first.contains("exit_layer"));
  const std::string two = folder.file("e.csv");
  run_ok({"embed", model, "-i", csv, "--field", "text", "--id-field", "id", "--with-text", "-o",
          two, "--layers", "0,1"});
  const std::vector<std::string> lines = lines_of(read_whole(two));
  EXPECT_THAT(lines[0], testing::StartsWith("line,id,text,layer,e0,e1,"));
  EXPECT_THAT(lines[1], testing::StartsWith("2,n0,\"rain, "));
  ASSERT_EQ(lines.size(), 7u);
  expect_refused(run_fathom({"embed", model, "-i", csv, "--field", "text", "--with-text", "-o",
                             folder.file("e.npy")}),
                 kUsageError, {"--with-text", ".jsonl or .csv"});
}

TEST(OwnData, OneKeyForOneLayerAndMany) {
  const TempFolder folder;
  const std::string model = byte_model(folder), out = folder.file("e.jsonl");
  run_ok({"embed", model, "-i", folder.write("s.txt", "Red.\n"), "-o", out, "--layers", "0,final"});
  const Json line = Json::parse(lines_of(read_whole(out))[0]);
  EXPECT_EQ(line["embedding"]["final"].size(), 24u);
  EXPECT_EQ(line["embeddings"], line["embedding"]);
}

TEST(OwnData, ExitLayerClassAndConfidenceGoWithTheVectors) {
  const TempFolder folder;
  const std::string model = byte_model(folder), csv = table(folder, 80),
                    policy = folder.file("own.policy"), out = folder.file("e.jsonl");
  const Outcome fit =
      run_ok({"fit", model, "--task-file", csv, "--text", "text", "--label", "kind", "-o", policy});
  EXPECT_THAT(fit.err, HasSubstr("calibration rows at least"));
  run_ok({"embed", model, "-i", csv, "--field", "text", "-o", out, "--depth", policy});
  const Json line = Json::parse(lines_of(read_whole(out))[0]);
  EXPECT_THAT(line["class"].get<std::string>(), testing::AnyOf("wet", "bright"));
  EXPECT_GE(line["exit_layer"].get<int>(), 1);
  EXPECT_TRUE(line["confidence"].is_number());
  const std::string classified = folder.file("c.jsonl");
  run_ok({"classify", model, "--policy", policy, "-i", csv, "--field", "text", "-o", classified});
  EXPECT_EQ(Json::parse(lines_of(read_whole(classified))[0])["label"], line["class"]);
  EXPECT_EQ(Json::parse(lines_of(read_whole(classified))[0])["exit_layer"], line["exit_layer"]);
  // A guarantee that was asked for is not replaced.
  const Outcome asked = run_fathom({"fit", model, "--task-file", csv, "--text", "text", "--label",
                                    "kind", "-o", policy, "--guarantee", "0.01,0.05"});
  EXPECT_EQ(asked.exit_code, kDataError);
  EXPECT_THAT(lines_of(asked.err), testing::ElementsAre(HasSubstr("are the test split"),
                                                        HasSubstr("299 calibration rows")));
}

TEST(OwnData, QueriesAndBenchesTakeTablesByTheirColumns) {
  const TempFolder folder;
  const std::string model = byte_model(folder), csv = table(folder, 6),
                    queries = folder.write("q.csv", "n,question\n1,\"sun, red\"\n2,rain\n"),
                    out = folder.file("found.jsonl");
  const std::vector<std::string> search = {"search", model,       "-i",       csv,     "--field",
                                           "text",   "--queries", queries,    "--top", "1",
                                           "-o",     out,         "--layers", "1"};
  std::vector<std::string> named = search;
  named.insert(named.end(), {"--query-field", "question"});
  run_ok(named);
  const std::vector<std::string> lines = lines_of(read_whole(out));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr("sun, red"));
  expect_refused(run_fathom(search), kDataError, {"q.csv", "n, question"});
  // A table of queries with the texts' column needs no flag of its own.
  folder.write("q.csv", "text\nrain\n");
  run_ok(search);
  EXPECT_EQ(lines_of(read_whole(out)).size(), 1u);

  const std::vector<std::string> bench = {"bench",        model,    "--tokens",      "none",
                                          "-i",           csv,      "--repeats",     "1",
                                          "--no-ceiling", "--json", "--min-seconds", "0"};
  std::vector<std::string> by_text = bench;
  by_text.insert(by_text.end(), {"--field", "text"});
  EXPECT_EQ(Json::parse(run_ok(by_text).out)["runs"][0]["n_sequence"], 6);
  expect_refused(run_fathom(bench), kUsageError, {"own.csv", "--field"});
}

TEST(OwnData, FlagsThatNeedATaskFileSaySo) {
  const TempFolder folder;
  const std::string model = byte_model(folder);
  expect_refused(run_fathom({"eval", model, "--text", "text"}), kUsageError,
                 {"--text", "--task-file"});
  expect_refused(run_fathom({"eval", model, "--task-file", table(folder, 20), "--text", "words",
                             "--label", "kind"}),
                 kDataError, {"no column 'words'", "id, text, kind"});
}

TEST(OwnData, ARecommendationIsWrittenShownAndUsed) {
  const TempFolder folder;
  const std::string model = byte_model(folder), csv = table(folder, 40),
                    in = folder.write("s.txt", "Red.\n"), out = folder.file("e.npy");
  EXPECT_THAT(run_ok({"embed", model, "-i", in, "-o", out}).err,
              HasSubstr("using layer final; `fathom eval` finds the best layer"));
  // Prompts stand in the same file: they recommend nothing, and stay.
  const std::string kept = folder.write("fathom.json", R"({"prompts": {"query": "Q: "}})");
  EXPECT_THAT(run_ok({"embed", model, "-i", in, "-o", out}).err, HasSubstr("using layer final;"));
  EXPECT_EQ(Json::parse(run_ok({"info", model, "--json"}).out).count("recommended"), 0u);
  const Outcome eval = run_ok({"eval", model, "--task-file", csv, "--text", "text", "--label",
                               "kind", "--no-timing", "--bootstrap", "50", "--write-recommendation",
                               "--table", "markdown", "-o", folder.file("r")});
  EXPECT_THAT(eval.out, HasSubstr("Best layer: "));
  EXPECT_THAT(eval.out, HasSubstr("| ---"));
  EXPECT_EQ(Json::parse(read_whole(kept))["prompts"]["query"], "Q: ");
  EXPECT_THAT(run_ok({"info", model}).out, HasSubstr("recommended"));
  EXPECT_THAT(run_ok({"embed", model, "-i", in, "-o", out}).err,
              HasSubstr("fathom.json recommends"));
  // A flag that says otherwise wins.
  EXPECT_THAT(run_ok({"embed", model, "-i", in, "-o", out, "--layers", "1"}).err,
              Not(HasSubstr("using layer")));
  EXPECT_THAT(run_ok({"embed", model, "-i", in, "-o", out, "--pool", "last"}).err,
              HasSubstr("using layer final: "));
}

}  // namespace
}  // namespace fathom::test::own_data_test
