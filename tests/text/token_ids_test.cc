// SPDX-License-Identifier: Apache-2.0
// Token ids as text: what is read, what is left, and how bytes are shown.
#include "text/token_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fathom::test::token_ids_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(TokenIds, StandBetweenCommasSpacesOrBrackets) {
  std::string_view text = "[1, 22,\n333\t4 ]";
  EXPECT_THAT(take_token_ids(text), ElementsAre(1, 22, 333, 4));
  EXPECT_EQ(text, "");
  text = " ,[] ";
  EXPECT_THAT(take_token_ids(text), IsEmpty());
  EXPECT_EQ(text, "");
}

TEST(TokenIds, LeaveWhatIsNone) {
  for (const char* bad : {"x", "-3", "2.5", "12a", "99999999999"}) {
    const std::string whole = std::string("7, 8, ") + bad + ", 9";
    std::string_view text = whole;
    EXPECT_THAT(take_token_ids(text), ElementsAre(7, 8)) << bad;
    EXPECT_TRUE(text.starts_with(bad)) << text;
  }
}

TEST(TokenIds, PiecesAreShownReadably) {
  EXPECT_EQ(readable_piece("a\n\t\r"), "a\\n\\t\\r");
  EXPECT_EQ(readable_piece("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(readable_piece("\xc3"), "\\xc3");
  EXPECT_EQ(readable_piece(std::string_view("\0\x7f", 2)), "\\x00\\x7f");
}

}  // namespace
}  // namespace fathom::test::token_ids_test
