// SPDX-License-Identifier: Apache-2.0
// The project's own models (models/): they load, and they do what they were trained for. Bounds are
// far from the figures of the model cards, which they do not repeat.
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "cli/models.h"
#include "formats/npy.h"
#include "paths.h"

namespace fathom::test::shipped_model_test {
namespace {

std::string shipped(const std::string& name) {
  return (std::filesystem::path(test::kSourceDir) / "models" / name).string();
}

// Mean of -log2 p(token | tokens before) by the logits of `fathom trace`, from the second token on.
double bits_per_token(const std::string& text) {
  const TempFolder folder;
  const std::string out = folder.file("t.safetensors");
  run_ok({"trace", shipped("finch-lm"), "--text", text, "-o", out});
  const StoredArrays t = read_arrays(out);
  const std::vector<float>& ids = t.at("ids").values;
  double bits = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    const std::vector<float> logits = row_of(t.at("logits"), i);
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float l : logits) sum += std::exp(l - largest);
    const double wanted = logits[static_cast<size_t>(ids[i + 1])];
    bits -= (wanted - largest - std::log(sum)) / std::log(2.0);
  }
  return bits / static_cast<double>(ids.size() - 1);
}

TEST(ShippedModels, AreWhatTheirCardsSay) {
  for (const char* name : {"finch-lm", "finch-embed"}) {
    const Json j = Json::parse(run_ok({"info", "--json", shipped(name)}).out);
    EXPECT_EQ(j["version"], "6") << name;
    EXPECT_EQ(j["n_layer"], 12) << name;
    EXPECT_EQ(j["d_model"], 192) << name;
    EXPECT_EQ(j["n_vocab"], 4097) << name;
  }
}

TEST(ShippedModels, LanguageModelKnowsTheOrderOfWords) {
  const double said = bits_per_token(
      "The president said on Monday that the new government would "
      "be in a position to make a decision before the end of the "
      "year.");
  const double shuffled = bits_per_token(
      "Year said government the in a of new position end that "
      "decision the to on would before the Monday be president "
      "make the a.");
  EXPECT_LT(said, 7.0);  // 12 is a guess among all tokens
  EXPECT_GT(shuffled, said + 1.5);
}

// The pairs measure nothing (samples/README.md); that trained models find most of their order is
// what an engine that mixes up layers, tokens or weights would not reach.
TEST(ShippedModels, EveryLayerOfTheEmbedderOrdersTheSamplePairs) {
  const TempFolder folder;
  const std::string out = folder.file("out");
  const auto samples = std::filesystem::path(test::kSourceDir) / "samples";
  run_ok({"eval", shipped("finch-embed"), "--task", "sample", "--data", samples, "--split", "test",
          "--layers", "all", "--bag", shipped("bag"), "--glove", shipped("words-50d.txt.xz"),
          "--out", out, "--no-timing", "--bootstrap", "100"});
  const Json results = Json::parse(read_whole(out + "/results.json"));
  std::map<std::string, double> spearman;
  for (const Json& row : results["rows"]) {
    if (row["metric"] != "spearman") continue;
    const bool is_layer = row["system"] == "rwkv";
    spearman[is_layer ? row["layer"].dump() : row["system"].get<std::string>()] = row["value"];
  }
  for (int layer = 0; layer <= 12; ++layer)
    EXPECT_GT(spearman[std::to_string(layer)], 0.7) << layer;
  EXPECT_GT(spearman["bag"], 0.7);
  EXPECT_GT(spearman["glove"], 0.4);
}

TEST(ShippedModels, FixedDepthIsTheLayerOfAllDepths) {
  const TempFolder folder;
  const RunOptions texts{.input =
                             "A man plays the guitar.\nSomeone is making music.\nStocks fell.\n"};
  const std::string all = folder.file("all.npy"), six = folder.file("six.npy");
  run_ok({"embed", shipped("finch-embed"), "--layers", "all", "-o", all}, texts);
  run_ok({"embed", shipped("finch-embed"), "--depth", "fixed:6", "-o", six}, texts);
  const NpyArray whole = read_npy(all), cut = read_npy(six);
  const size_t n = 3 * 192;
  ASSERT_EQ(cut.values.size(), n);
  EXPECT_TRUE(std::equal(cut.values.begin(), cut.values.end(), whole.values.begin() + 6 * n));
}

}  // namespace
}  // namespace fathom::test::shipped_model_test
