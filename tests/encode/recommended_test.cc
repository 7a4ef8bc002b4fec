// SPDX-License-Identifier: Apache-2.0
// The reading that a folder recommends: its own file, sentence-transformers' modules, what is
// refused.
#include "encode/recommended.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "formats/temp_folder.h"

namespace fathom::test::recommended_test {
namespace {

using testing::HasSubstr;

TEST(Recommended, IsReadBackAsItWasWritten) {
  const TempFolder folder;
  EncodeOptions how;
  how.pooling = Pooling::kLast;
  how.bos = 0;
  folder.write("fathom.json", dump_json(recommendation_json("3", how, "because")));
  const std::string weights = folder.write("model.safetensors", "");
  for (const std::string& model : {weights, folder.file("").string()}) {
    const auto reading = recommended_reading(model);
    ASSERT_TRUE(reading);
    EXPECT_EQ(reading->layers, "3");
    EXPECT_EQ(reading->pool, "last");
    EXPECT_EQ(reading->norm, "none");
    EXPECT_EQ(reading->bos, "0");
    EXPECT_EQ(reading->why, "because");
    EXPECT_EQ(recommendation_path(model), folder.file("fathom.json"));
  }
  folder.write("fathom.json", R"({"recommended": {"layers": 3}})");
  EXPECT_THAT(error_of([&] { recommended_reading(weights); }),
              HasSubstr("fathom.json: recommended.layers: expected a text, got 3"));
}

// fathom.json has several readers: what one of them needs is nothing to the others.
TEST(Recommended, AFileWithoutARecommendationIsNoError) {
  const TempFolder folder;
  const std::string model = folder.file("").string();
  for (const char* text : {R"({"prompts": {"query": "Q: "}})", R"({"eos": 0, "depth": null})",
                           R"({"recommended": null})", "{}"}) {
    folder.write("fathom.json", text);
    EXPECT_FALSE(recommended_reading(model)) << text;
  }
  // Then that of sentence-transformers counts.
  folder.write("modules.json", R"([{"type": "sentence_transformers.models.Pooling"}])");
  std::filesystem::create_directories(folder.file("1_Pooling"));
  folder.write("1_Pooling/config.json", R"({"pooling_mode_lasttoken": true})");
  ASSERT_TRUE(recommended_reading(model));
  EXPECT_EQ(recommended_reading(model)->pool, "last");
  for (const char* text : {R"({"recommended": 3})", R"(["recommended"])"}) {
    folder.write("fathom.json", text);
    EXPECT_THAT(error_of([&] { recommended_reading(model); }), HasSubstr("expected a")) << text;
  }
}

TEST(Recommended, WritingKeepsWhatOthersKeepInTheFile) {
  const TempFolder folder;
  const std::filesystem::path file = folder.file("fathom.json");
  const OrderedJson made = recommendation_json("3", {}, "because");
  EXPECT_EQ(merged_recommendation(file, made), made);
  folder.write("fathom.json", R"({"prompts": {"query": "Q: "}, "eos": 0, "why": "old",
    "recommended": {"layers": "1", "more": [1]}, "later": null})");
  const OrderedJson merged = merged_recommendation(file, made);
  EXPECT_EQ(merged["prompts"], OrderedJson::parse(R"({"query": "Q: "})"));
  EXPECT_EQ(merged["eos"], 0);
  EXPECT_EQ(merged["why"], "because");
  EXPECT_EQ(merged["recommended"]["layers"], "3");
  EXPECT_EQ(merged["recommended"]["more"], OrderedJson::array({1}));
  EXPECT_EQ(merged.begin().key(), "prompts") << "the order stays";
  EXPECT_TRUE(merged.contains("later"));
  folder.write("fathom.json", "\xEF\xBB\xBF{\"recommended\": 1}");
  EXPECT_EQ(merged_recommendation(file, made)["recommended"], made["recommended"]);
  for (const char* text : {"[1]", "{"}) {
    folder.write("fathom.json", text);
    EXPECT_THAT(error_of([&] { merged_recommendation(file, made); }), HasSubstr("fathom.json"));
  }
}

TEST(Recommended, ModulesOfSentenceTransformers) {
  const TempFolder folder;
  const std::string model = folder.file("").string();
  EXPECT_FALSE(recommended_reading(model));
  folder.write("modules.json", R"([{"type": "sentence_transformers.models.Transformer", "path": ""},
    {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
    {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}])");
  EXPECT_FALSE(recommended_reading(model));  // no pooling that is known
  std::filesystem::create_directories(folder.file("1_Pooling"));
  folder.write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true})");
  const auto mean = recommended_reading(model);
  ASSERT_TRUE(mean);
  EXPECT_EQ(mean->pool, "mean");
  EXPECT_EQ(mean->layers, "final");
  EXPECT_TRUE(mean->normalize);
  folder.write("1_Pooling/config.json", R"({"pooling_mode_lasttoken": true})");
  EXPECT_EQ(recommended_reading(model)->pool, "last");
  EXPECT_THAT(error_of([] { recommendation_path("/nowhere/model"); }), HasSubstr("no such file"));
}

}  // namespace
}  // namespace fathom::test::recommended_test
