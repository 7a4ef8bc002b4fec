// SPDX-License-Identifier: Apache-2.0
// fathom metrics.
#include <cmath>

#include "base/json.h"
#include "cli/program.h"

namespace fathom::test::metrics_test {
namespace {

TEST(Metrics, WritesTheMetricsOfEachKind) {
  const TempFolder folder;
  const std::string cases = folder.write("cases.json", R"([
    {"name": "a", "kind": "correlation", "x": [1, 2, 3], "y": [1, 3, 2]},
    {"name": "b", "kind": "binary", "truth": [1, 0, 1, 1], "pred": [1, 0, 0, 1]},
    {"name": "c", "kind": "multiclass", "truth": [0, 1, 2], "pred": [0, 1, 1]},
    {"name": "d", "kind": "average_precision", "truth": [0, 1], "score": [1, 2]},
    {"name": "e", "kind": "counts", "tp": 2, "tn": 2, "fp": 0, "fn": 0},
    {"name": "f", "kind": "correlation", "x": [1, 1], "y": [1, "inf"]}])");
  const std::string out = folder.file("out.json");
  EXPECT_EQ(run_ok({"metrics", cases, "-o", out}).out, "");
  const Json j = Json::parse(read_whole(out));
  ASSERT_EQ(j.size(), 6u);
  EXPECT_EQ(j[0]["name"], "a");
  EXPECT_DOUBLE_EQ(j[0]["spearman"].get<double>(), 0.5);
  EXPECT_DOUBLE_EQ(j[1]["accuracy"].get<double>(), 0.75);
  EXPECT_DOUBLE_EQ(j[1]["f1"].get<double>(), 0.8);
  EXPECT_DOUBLE_EQ(j[2]["accuracy"].get<double>(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(j[3]["average_precision"].get<double>(), 1);
  EXPECT_DOUBLE_EQ(j[4]["mcc"].get<double>(), 1);
  EXPECT_TRUE(j[5]["pearson"].is_null());
  EXPECT_EQ(run_ok({"metrics", cases}).out, read_whole(out));
}

TEST(Metrics, RefusesCasesThatAreNone) {
  const TempFolder folder;
  struct Case {
    const char* text;
    std::vector<std::string> names;
  };
  const Case cases[] = {
      {"{", {"not valid JSON"}},
      {"[1e400]", {"not valid JSON", "1e400"}},
      {"{}", {"list"}},
      {R"([{"name": "a", "kind": "magic"}])", {"\"a\"", "magic"}},
      {R"([{"name": "a", "kind": "correlation", "x": [1]}])", {"\"a\"", "y"}},
      {R"([{"name": "a", "kind": "correlation", "x": [1], "y": [1, 2]}])", {"\"a\""}},
      {R"([{"name": "a", "kind": "binary", "truth": [2], "pred": [1]}])", {"\"a\"", "truth", "2"}},
  };
  const std::string out = folder.file("out.json");
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    std::vector<std::string> names = c.names;
    names.push_back("bad.json");
    expect_refused(run_fathom({"metrics", folder.write("bad.json", c.text), "-o", out}), kDataError,
                   names);
  }
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Metrics, AgreesWithExactArithmetic) {
  const auto file = shared_folder() / "golden/stats/cases.json";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no shared data";
  const Json want = Json::parse(read_whole(file));
  const Json got = Json::parse(run_ok({"metrics", file}).out);
  ASSERT_EQ(got.size(), want.size());
  size_t n_compared = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(got[i]["name"], want[i]["name"]);
    ASSERT_EQ(got[i]["kind"], want[i]["kind"]);
    for (const char* metric :
         {"pearson", "spearman", "mcc", "f1", "macro_f1", "accuracy", "average_precision"}) {
      if (!want[i].contains(metric)) continue;
      ++n_compared;
      const std::string where = concat(want[i]["name"].get<std::string>(), " ", metric);
      ASSERT_TRUE(got[i].contains(metric)) << where;
      ASSERT_EQ(got[i][metric].is_null(), want[i][metric].is_null()) << where;
      if (!want[i][metric].is_null()) {
        EXPECT_NEAR(got[i][metric].get<double>(), want[i][metric].get<double>(),
                    want[i].value("tol", 1e-12))
            << where;
      }
    }
  }
  EXPECT_GT(n_compared, 150u);
}

}  // namespace
}  // namespace fathom::test::metrics_test
