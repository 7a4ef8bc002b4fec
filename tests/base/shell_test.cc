// SPDX-License-Identifier: Apache-2.0
// Words that a shell reads back as they were.
#include "base/shell.h"

#include <gtest/gtest.h>

namespace fathom::test::shell_test {
namespace {

TEST(ShellQuoted, LeavesPlainWordsAndQuotesTheRest) {
  EXPECT_EQ(shell_quoted("models/finch-lm"), "models/finch-lm");
  EXPECT_EQ(shell_quoted("--layers=1,3"), "--layers=1,3");
  EXPECT_EQ(shell_quoted(""), "''");
  EXPECT_EQ(shell_quoted("two words"), "'two words'");
  EXPECT_EQ(shell_quoted("$HOME"), "'$HOME'");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
}

TEST(CommandLine, IsThisProcess) { EXPECT_NE(command_line().find("test_base"), std::string::npos); }

}  // namespace
}  // namespace fathom::test::shell_test
