// SPDX-License-Identifier: Apache-2.0
// Texts of help: what is looked up by name, and the command that a mistyped word is nearest to.
#include "report/help_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fathom::test::help_texts_test {
namespace {

TEST(HelpTexts, ACommandHasAReasonAndReadsOn) {
  ASSERT_NE(command_text("embed"), nullptr);
  EXPECT_THAT(command_text("embed")->why, testing::StartsWith("Use it "));
  EXPECT_FALSE(command_text("embed")->see_also.empty());
  EXPECT_EQ(command_text("frobnicate"), nullptr);
}

TEST(HelpTexts, AFlagHasAHeading) {
  EXPECT_EQ(flag_group("--dtype"), "Model");
  EXPECT_EQ(flag_group("--depth-log"), "Depth");
  EXPECT_EQ(flag_group("--pool"), "Reading");
  EXPECT_EQ(flag_group("--poo"), "");  // no part of a name
  EXPECT_EQ(flag_group("--help"), "");
}

TEST(HelpTexts, TopicsHavePages) {
  EXPECT_EQ(help_topics(), "layers, depth, formats");
  for (const char* topic : {"layers", "depth", "formats"}) EXPECT_NE(help_topic(topic), "");
  EXPECT_EQ(help_topic("colours"), "");
}

TEST(HelpTexts, TheNearestCommand) {
  EXPECT_EQ(nearest_command("embd"), "embed");
  EXPECT_EQ(nearest_command("serach"), "search");
  EXPECT_EQ(nearest_command("evaluate"), "");
  EXPECT_EQ(nearest_command("frobnicate"), "");
  EXPECT_EQ(nearest_command("shw"), "");  // a part of `policy`, no command
}

}  // namespace
}  // namespace fathom::test::help_texts_test
