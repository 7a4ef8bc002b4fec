// SPDX-License-Identifier: Apache-2.0
// The mean of static token embeddings: the mean of rows of a table, and every table that it refuses.
#include "baseline/static_embeddings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error_of.h"
#include "formats/temp_folder.h"
#include "model/synthetic_layouts.h"

namespace fathom::test::static_embeddings_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// 256 tokens: their bytes are the vocabulary. Row i is (i, 1, -2 i).
Array byte_table(const std::string& name) {
  Array table{name, {256, 3}, {}};
  for (int i = 0; i < 256; ++i)
    for (const int v : {i, 1, -2 * i}) table.values.push_back(static_cast<float>(v));
  return table;
}

class StaticEmbeddingsTest : public testing::Test {
 protected:
  std::string write(const Array& table) {
    write_arrays(folder_.file("model.safetensors"), {table});
    return folder_.file("model.safetensors");
  }
  TempFolder folder_;
};

TEST_F(StaticEmbeddingsTest, IsTheMeanOfTheTokensVectors) {
  for (const char* name : {"emb.weight", "rwkv.embeddings.weight", "model.embeddings.weight"}) {
    const StaticEmbeddings bag = StaticEmbeddings::open(write(byte_table(name)));
    EXPECT_EQ(bag.dim(), 3u);
    EXPECT_EQ(bag.memory_bytes(), 256u * 3 * 4);
    std::vector<float> mean(3);
    const size_t n_token = bag.embed("aac", mean);
    EXPECT_EQ(n_token, 3u);
    // Bytes a, a, c, whatever ids the byte tokenizer gives them.
    const float a = mean[0];
    EXPECT_THAT(mean, ElementsAre(a, 1, -2 * a));
    std::vector<float> first(3), second(3);
    bag.embed("a", first);
    bag.embed("c", second);
    EXPECT_FLOAT_EQ(mean[0], (2 * first[0] + second[0]) / 3);
    EXPECT_EQ(second[0] - first[0], 2) << "the third letter is two ids after the first";
  }
}

TEST_F(StaticEmbeddingsTest, NoTokenIsTheZeroVector) {
  const StaticEmbeddings bag = StaticEmbeddings::open(write(byte_table("emb.weight")));
  std::vector<float> mean(3, 7.0f);
  EXPECT_EQ(bag.embed("", mean), 0u);
  EXPECT_THAT(mean, ElementsAre(0, 0, 0));
}

TEST_F(StaticEmbeddingsTest, RefusesWhatIsNoTable) {
  const auto refused = [this](const Array& table) {
    return error_of([&] { StaticEmbeddings::open(write(table)); });
  };
  EXPECT_THAT(refused({"embedding", {2, 2}, {1, 2, 3, 4}}), HasSubstr("emb.weight"));
  EXPECT_THAT(refused({"emb.weight", {4}, {1, 2, 3, 4}}), HasSubstr("expected a matrix"));
  Array broken = byte_table("emb.weight");
  broken.values[3 * 65 + 1] = NAN;
  EXPECT_THAT(refused(broken), HasSubstr("token 65 is not finite"));
  // 2 tokens are no byte vocabulary, and none lies beside it.
  EXPECT_THAT(refused({"emb.weight", {2, 2}, {1, 2, 3, 4}}), HasSubstr("no vocabulary"));
}

}  // namespace
}  // namespace fathom::test::static_embeddings_test
