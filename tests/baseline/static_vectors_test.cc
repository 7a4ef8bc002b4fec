// SPDX-License-Identifier: Apache-2.0
// Static baselines as a study takes them: what they hold, and when one is hardly a baseline.
#include "baseline/static_vectors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/temp_folder.h"

namespace fathom::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(StaticVectors, AreMeansOfTheWordsThatAreKnown) {
  const TempFolder folder;
  const std::string file = folder.write("words.txt", "red 1 0\nblue 0 1\nnever 5 5\n");
  const std::vector<std::string_view> texts = {"Red blue", "green"};
  const std::vector<StaticVectors> systems = open_static({.glove = file}, {texts});
  ASSERT_EQ(systems.size(), 1u);
  EXPECT_EQ(systems[0].name, "glove");
  EXPECT_EQ(systems[0].dim, 2u);
  std::vector<float> mean(2);
  EXPECT_EQ(systems[0].embed("Red blue", mean), 2u);
  EXPECT_THAT(mean, ElementsAre(0.5F, 0.5F));
  EXPECT_EQ(systems[0].embed("green", mean), 0u);
  EXPECT_THAT(mean, ElementsAre(0.0F, 0.0F));
  EXPECT_EQ(systems[0].about["words"], 3);
  EXPECT_EQ(systems[0].about["known"], 2);
  EXPECT_FALSE(systems[0].warns);
}

TEST(StaticVectors, WarnWhereHardlyAWordIsKnown) {
  EXPECT_FALSE(warn_of_unknown_words("GloVe", {.words = 10, .known = 1}).has_value());
  EXPECT_FALSE(warn_of_unknown_words("GloVe", {}).has_value());
  EXPECT_THAT(warn_of_unknown_words("GloVe", {.words = 16, .known = 1}).value_or(""),
              HasSubstr("WARNING: GloVe knows 1 of 16 words (6.2 %): it is hardly a baseline."));
  const TempFolder folder;
  const std::string file = folder.write("words.txt", "red 1 0\nblue 0 1\n");
  const std::vector<std::string_view> texts = {"rot gelb"};
  const std::vector<StaticVectors> systems = open_static({.glove = file}, {texts});
  EXPECT_TRUE(systems.at(0).warns);
  EXPECT_THAT(systems[0].notes.at(0), HasSubstr("knows 0 of 2 words"));
}

TEST(StaticVectors, ThereAreNoneThatNobodyNames) { EXPECT_TRUE(open_static({}, {}).empty()); }

}  // namespace
}  // namespace fathom::test
