// SPDX-License-Identifier: Apache-2.0
// Lists as people write them, and the message of an option that cannot be.
#include "base/list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/invalid_option.h"

namespace fathom::list_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(List, CommasGiveEveryItem) {
  EXPECT_THAT(split_commas("a,bc,d"), ElementsAre("a", "bc", "d"));
  EXPECT_THAT(split_commas("a,,b,"), ElementsAre("a", "", "b", ""));
  EXPECT_THAT(split_commas(""), ElementsAre(""));
}

TEST(List, MayLeaveEmptyItemsOut) {
  EXPECT_THAT(split_list("a,,b,"), ElementsAre("a", "b"));
  EXPECT_THAT(split_list(","), IsEmpty());
  EXPECT_THAT(split_list(""), IsEmpty());
}

TEST(List, JoinsWithAWordBeforeTheLast) {
  const std::vector<std::string> none, one = {"a"}, three = {"a", "b", "c"};
  EXPECT_EQ(join(none), "");
  EXPECT_EQ(join(one, " or "), "a");
  EXPECT_EQ(join(three), "a, b, c");
  EXPECT_EQ(join(three, " or "), "a, b or c");
  constexpr std::string_view kTwo[] = {"x", "y"};
  EXPECT_EQ(join(kTwo, " or "), "x or y");
}

TEST(InvalidOption, NamesTheFieldWhatWasExpectedAndWhatCame) {
  const InvalidOption plain("batch_tokens", "at least 1", "0");
  EXPECT_STREQ(plain.what(), "batch_tokens: expected at least 1, got 0");
  EXPECT_EQ(plain.field(), "batch_tokens");
  EXPECT_EQ(plain.expected(), "at least 1");
  EXPECT_EQ(plain.got(), "0");
  EXPECT_STREQ(InvalidOption("layers", "at least one").what(), "layers: expected at least one");
  EXPECT_STREQ(InvalidOption("eos", "an id below it", "40", "n_vocab is 37").what(),
               "eos: n_vocab is 37; expected an id below it, got 40");
  EXPECT_THROW(throw plain, UsageError) << "wrong usage, so exit code 2";
}

}  // namespace
}  // namespace fathom::list_test
