// SPDX-License-Identifier: Apache-2.0
#include "text/words.h"

#include "text/fixtures.h"

namespace fathom::words_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> words(std::string_view text, WordOptions options = {}) {
  std::vector<std::string> out;
  split_words(text, options, out);
  return out;
}

TEST(Words, SplitsAtAsciiWhiteSpaceOnly) {
  EXPECT_THAT(words("The cat's  hat.\tis\non\v\f\r"),
              ElementsAre("the", "cat's", "hat.", "is", "on"));
  EXPECT_THAT(words(""), IsEmpty());
  EXPECT_THAT(words(" \n\t "), IsEmpty());
  EXPECT_THAT(words("a\xC2\xA0"
                    "b\x1C"
                    "c"),
              ElementsAre("a\xC2\xA0"
                          "b\x1C"
                          "c"))
      << "no-break space and other controls do not split";
}

TEST(Words, LowersAsciiLettersOnly) {
  EXPECT_THAT(words("AZ\xC3\x89@[ \xFFX"), ElementsAre("az\xC3\x89@[", "\xFFx"));
  EXPECT_THAT(words("AbC", {.lower_case = false}), ElementsAre("AbC"));
}

TEST(Words, MakesPunctuationWordsOnRequest) {
  const WordOptions options{.lower_case = true, .split_punctuation = true};
  EXPECT_THAT(words("He said: \"don't.\"", options),
              ElementsAre("he", "said", ":", "\"", "don", "'", "t", ".", "\""));
  EXPECT_THAT(words("~{a}", options), ElementsAre("~", "{", "a", "}"));
}

TEST(Words, Appends) {
  std::vector<std::string> out = {"before"};
  split_words("after", {}, out);
  EXPECT_THAT(out, ElementsAre("before", "after"));
}

}  // namespace
}  // namespace fathom::words_test
