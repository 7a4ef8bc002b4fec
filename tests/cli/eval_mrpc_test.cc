// SPDX-License-Identifier: Apache-2.0
// Issue 2, check 3: the real tiny v6 model on the real MRPC validation split, beside real GloVe
// vectors. The expected figures were computed apart from Fathom: the formulas of RWKV-6 in numpy
// float64 over the same sentences, and scipy 1.10's spearmanr.
#include <cmath>

#include "base/json.h"
#include "cli/models.h"

namespace fathom::test::eval_mrpc_test {
namespace {

constexpr double kSpearman[] = {0.3944420584, 0.3816423274, 0.3796283837, 0.3788228063,
                                0.3781962460, 0.3764955825, 0.3724229408, 0.3772116513,
                                0.3716173633, 0.3722439236, 0.3773011599, 0.3740788500,
                                0.3833877453};
constexpr double kFinalSpearman = 0.3635168343;
constexpr double kGloveSpearman = 0.406436211840, kGlovePearson = 0.399286311430;
constexpr double kGloveCoverage = 15682.0 / 17968;

TEST(EvalMrpc, GivesTheFiguresOfAnIndependentComputation) {
  const auto data = shared_folder() / "data";
  const auto glove = data / "glove/glove.6B.50d.subset.txt";
  if (tiny_v6().empty() || !std::filesystem::exists(glove)) GTEST_SKIP() << "no shared data";
  const TempFolder folder;
  const std::string out = folder.file("out");
  // Thresholds are not what is checked: a few train pairs do.
  const Outcome run = run_ok({"eval", tiny_v6(), "--task", "mrpc", "--data", data, "--split",
                              "validation", "--layers", "all", "--glove", glove, "--out", out,
                              "--no-timing", "--train-sample", "50", "--bootstrap", "100"});
  EXPECT_THAT(run.out, testing::HasSubstr("408 pairs, 279 positive"));
  EXPECT_THAT(run.out, testing::HasSubstr("glove.6B.50d.subset coverage 0.873"));

  const Json j = Json::parse(read_whole(out + "/results.json"));
  std::map<std::string, double> spearman;
  for (const Json& row : j["rows"]) {
    EXPECT_EQ(row["n"], 408);
    const bool is_glove = row["system"] == "glove";
    if (row["metric"] == "spearman")
      spearman[is_glove ? "glove" : row["layer"].dump()] = row["value"].get<double>();
    if (row["metric"] == "pearson" && is_glove) {
      EXPECT_NEAR(row["value"].get<double>(), kGlovePearson, 1e-9);
    }
  }
  ASSERT_EQ(spearman.size(), 13u + 2u);
  for (size_t layer = 0; layer <= 12; ++layer)
    EXPECT_NEAR(spearman[std::to_string(layer)], kSpearman[layer], 1e-4) << layer;
  EXPECT_NEAR(spearman["\"final\""], kFinalSpearman, 1e-4);
  EXPECT_NEAR(spearman["glove"], kGloveSpearman, 1e-9);
  EXPECT_DOUBLE_EQ(j["glove"]["coverage"].get<double>(), kGloveCoverage);
}

}  // namespace
}  // namespace fathom::test::eval_mrpc_test
