// SPDX-License-Identifier: Apache-2.0
#include "depth/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace fathom::layers_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Layers, AllIsEveryLayerAndFinal) {
  EXPECT_EQ(parse_layers("all", 12).size(), 14u);
  EXPECT_THAT(parse_layers("all", 2), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(final_layer(2), 3u);
}

TEST(Layers, ListsKeepTheirOrder) {
  EXPECT_THAT(parse_layers("3", 12), ElementsAre(3));
  EXPECT_THAT(parse_layers("final", 12), ElementsAre(13));
  EXPECT_THAT(parse_layers("1,3,11", 12), ElementsAre(1, 3, 11));
  EXPECT_THAT(parse_layers("11,1,11,0", 12), ElementsAre(11, 1, 0));
  EXPECT_THAT(parse_layers("1,5-8,final", 12), ElementsAre(1, 5, 6, 7, 8, 13));
  EXPECT_THAT(parse_layers("4-4", 12), ElementsAre(4));
  EXPECT_THAT(parse_layers("11-final", 12), ElementsAre(11, 12, 13));
}

TEST(Layers, WhatIsNoLayerIsRefused) {
  for (const char* text :
       {"",    ",",       "1,",    ",1",    "1,,2", "13",  "0-13",
        "5-3", "final-3", "-1",    "1-",    "x",    "1x",  "+1",
        " 1",  "1 ",      "all,1", "Final", "3.0",  "0x1", "99999999999999999999999"})
    EXPECT_THROW(parse_layers(text, 12), UsageError) << "'" << text << "'";
  EXPECT_THAT([] { parse_layers("2,13", 12); },
              ThrowsMessage<UsageError>(AllOf(HasSubstr("0 to 12"), HasSubstr("'13'"))));
}

TEST(Layers, NamesReadBack) {
  for (size_t layer = 0; layer <= 13; ++layer)
    EXPECT_THAT(parse_layers(layer_name(layer, 12), 12), ElementsAre(layer));
  EXPECT_EQ(layer_name(13, 12), "final");
  EXPECT_EQ(layer_name(0, 12), "0");
}

// Hugging Face's v4 to v6 give the outputs of blocks 0 .. L-1 and then ln_out's; no embedding.
TEST(Layers, HuggingFaceListsBlockOutputsThenTheNorm) {
  for (Version v : {Version::kV4, Version::kV5_2, Version::kV6}) {
    EXPECT_EQ(hf_index(0, 3, v), std::nullopt);
    EXPECT_EQ(hf_index(1, 3, v), 0u);
    EXPECT_EQ(hf_index(3, 3, v), 2u);
    EXPECT_EQ(hf_index(4, 3, v), 3u);
  }
  // fla's v7 gives the raw embedding first, and the last block only through the norm.
  EXPECT_EQ(hf_index(0, 3, Version::kV7), std::nullopt);
  EXPECT_EQ(hf_index(1, 3, Version::kV7), 1u);
  EXPECT_EQ(hf_index(2, 3, Version::kV7), 2u);
  EXPECT_EQ(hf_index(3, 3, Version::kV7), std::nullopt);
  EXPECT_EQ(hf_index(4, 3, Version::kV7), 3u);
}

}  // namespace
}  // namespace fathom::layers_test
