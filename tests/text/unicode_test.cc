// SPDX-License-Identifier: Apache-2.0
// What byte-level BPE needs before it merges: character classes, NFC, GPT-2's words.
#include "text/unicode.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/fixtures.h"
#include "text/gpt2_words.h"

namespace fathom::unicode_test {
namespace {

using ::testing::ElementsAre;

std::string nfc(std::string text) {
  normalize_nfc(text);
  return text;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t size = gpt2_word(text);
    out.emplace_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

TEST(CharClass, FollowsUnicodeCategories) {
  EXPECT_EQ(char_class(U'a'), CharClass::kLetter);
  EXPECT_EQ(char_class(U'Z'), CharClass::kLetter);
  EXPECT_EQ(char_class(U'ß'), CharClass::kLetter);
  EXPECT_EQ(char_class(U'ʰ'), CharClass::kLetter) << "Lm";
  EXPECT_EQ(char_class(U'ǅ'), CharClass::kLetter) << "Lt";
  EXPECT_EQ(char_class(U'你'), CharClass::kLetter) << "Lo";
  EXPECT_EQ(char_class(U'7'), CharClass::kNumber);
  EXPECT_EQ(char_class(U'٣'), CharClass::kNumber) << "Nd";
  EXPECT_EQ(char_class(U'Ⅷ'), CharClass::kNumber) << "Nl";
  EXPECT_EQ(char_class(U'½'), CharClass::kNumber) << "No";
  EXPECT_EQ(char_class(U'_'), CharClass::kOther);
  EXPECT_EQ(char_class(U'\u0301'), CharClass::kOther) << "a mark is no letter";
  EXPECT_EQ(char_class(U'🌍'), CharClass::kOther);
  EXPECT_EQ(char_class(U'\0'), CharClass::kOther);
  EXPECT_EQ(char_class(U'\u200B'), CharClass::kOther) << "zero-width space is no white space";
  EXPECT_EQ(char_class(U'\u180E'), CharClass::kOther);
  EXPECT_EQ(char_class(0x10FFFF), CharClass::kOther);
}

TEST(CharClass, TwentyFiveWhiteSpaceCharacters) {
  size_t n = 0;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) n += char_class(c) == CharClass::kSpace;
  EXPECT_EQ(n, 25u);  // PropList.txt: White_Space
  for (char32_t c : {U' ', U'\t', U'\r', U'\u0085', U'\u00A0', U'\u2028', U'\u3000'})
    EXPECT_EQ(char_class(c), CharClass::kSpace);
}

// Expected: Python's unicodedata.normalize("NFC", text).
TEST(Nfc, ComposesAndOrders) {
  EXPECT_EQ(nfc(""), "");
  EXPECT_EQ(nfc("plain\n"), "plain\n");
  EXPECT_EQ(nfc("na\u00EFve"), "na\u00EFve");
  EXPECT_EQ(nfc("cafe\u0301"), "caf\u00E9");
  EXPECT_EQ(nfc("\u0301e"), "\u0301e");
  EXPECT_EQ(nfc("A\u030A\u0327"), "\u00C5\u0327") << "the cedilla sorts first, but blocks nothing";
  EXPECT_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307") << "canonical order";
  EXPECT_EQ(nfc("\u1E0B\u0323"), "\u1E0D\u0307");
  EXPECT_EQ(nfc("\u2126\u212B"), "\u03A9\u00C5") << "singletons";
  EXPECT_EQ(nfc("\u1100\u1161\u11A8"), "\uAC01") << "Hangul";
  EXPECT_EQ(nfc("\uAC00\u11A8"), "\uAC01");
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093C") << "composition exclusion";
  EXPECT_EQ(nfc("\uFB01"), "\uFB01") << "compatibility characters stay";
  EXPECT_EQ(nfc("\U0001D15E"), "\U0001D157\U0001D165");
  EXPECT_EQ(nfc("\uF900"), "\u8C48");
}

TEST(Nfc, LongRunsOfMarksTakeNoQuadraticTime) {
  std::string text = "a", marks;
  for (int i = 0; i < 100000; ++i) text += i % 2 ? "\u0323" : "\u0307";
  const std::string normal = nfc(text);
  EXPECT_EQ(normal.substr(0, 5), "\u1EA1\u0323") << "a with dot below, then the dots below";
  EXPECT_EQ(nfc(normal), normal);
}

// Expected: Python's regex.findall with the pattern in gpt2_words.h.
TEST(Gpt2Words, TakesOneSpaceIntoAWord) {
  EXPECT_THAT(words("Hello, World!"), ElementsAre("Hello", ",", " World", "!"));
  EXPECT_THAT(words("abc123def"), ElementsAre("abc", "123", "def"));
  EXPECT_THAT(words(" 12 \u00BD ..."), ElementsAre(" 12", " \u00BD", " ..."));
  EXPECT_THAT(words("na\u00EFve \u4F60\u597D\uFF0C\U0001F30D"),
              ElementsAre("na\u00EFve", " \u4F60\u597D", "\uFF0C\U0001F30D"));
}

TEST(Gpt2Words, LeavesTheLastSpaceToTheNextWord) {
  EXPECT_THAT(words("a  b"), ElementsAre("a", " ", " b"));
  EXPECT_THAT(words("a    b"), ElementsAre("a", "   ", " b"));
  EXPECT_THAT(words("a\n\tb"), ElementsAre("a", "\n", "\t", "b"));
  EXPECT_THAT(words("a\tb"), ElementsAre("a", "\t", "b")) << "only a space joins a word";
  EXPECT_THAT(words("a \n"), ElementsAre("a", " \n"));
  EXPECT_THAT(words("a "), ElementsAre("a", " "));
  EXPECT_THAT(words("   "), ElementsAre("   "));
  EXPECT_THAT(words("\u00A0\u00A0x"), ElementsAre("\u00A0", "\u00A0", "x"));
  EXPECT_THAT(words(" \n x"), ElementsAre(" \n", " x"));
  EXPECT_THAT(words(" \nx"), ElementsAre(" ", "\n", "x"));
}

TEST(Gpt2Words, CutsContractions) {
  EXPECT_THAT(words("I'll he's they're don't we've I'm he'd"),
              ElementsAre("I", "'ll", " he", "'s", " they", "'re", " don", "'t", " we", "'ve", " I",
                          "'m", " he", "'d"));
  EXPECT_THAT(words("'sx"), ElementsAre("'s", "x"));
  EXPECT_THAT(words(" 's"), ElementsAre(" '", "s")) << "not after a space";
  EXPECT_THAT(words("''s"), ElementsAre("''", "s"));
  EXPECT_THAT(words("'S 'x"), ElementsAre("'", "S", " '", "x")) << "lower case only";
  EXPECT_THAT(words("'"), ElementsAre("'"));
}

}  // namespace
}  // namespace fathom::unicode_test
