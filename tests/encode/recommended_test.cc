// SPDX-License-Identifier: Apache-2.0
// The reading that a folder recommends: its own file, sentence-transformers' modules, what is refused.
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
