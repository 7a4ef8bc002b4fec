// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <gtest/gtest.h>

namespace fathom::utf8_test {
namespace {

TEST(Utf8, EveryCodePointComesBack) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    std::string bytes;
    append_utf8(c, bytes);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    const CodePoint back = decode_utf8(bytes + "x");
    ASSERT_EQ(back.valid, !surrogate) << static_cast<uint32_t>(c);
    ASSERT_EQ(is_utf8(bytes), !surrogate) << static_cast<uint32_t>(c);
    if (surrogate) continue;
    ASSERT_TRUE(back.value == c) << static_cast<uint32_t>(c);
    ASSERT_EQ(back.size, bytes.size());
  }
}

// Expected: Python's bytes.decode("utf-8", errors="replace").
TEST(Utf8, ReplacesEachIllFormedPartOnce) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(replace_ill_formed("a\xFF"
                               "b"),
            "a" + r + "b");
  EXPECT_EQ(replace_ill_formed("\xC0\xAF"), r + r) << "overlong";
  EXPECT_EQ(replace_ill_formed("\xE0\x80\x80"), r + r + r) << "overlong";
  EXPECT_EQ(replace_ill_formed("\xED\xA0\x80"), r + r + r) << "surrogate";
  EXPECT_EQ(replace_ill_formed("\xF4\x90\x80\x80"), r + r + r + r) << "beyond U+10FFFF";
  EXPECT_EQ(replace_ill_formed("\xF0\x9F\x8C"), r) << "cut off at the end";
  EXPECT_EQ(replace_ill_formed("\xF0\x9F\x8C"
                               "a"),
            r + "a");
  EXPECT_EQ(replace_ill_formed("\xE4\xBD\xE4\xBD\xA0"), r + "\xE4\xBD\xA0");
  EXPECT_EQ(replace_ill_formed("\x80\xBF"), r + r);
  EXPECT_EQ(replace_ill_formed("na\xC3\xAFve"), "na\xC3\xAFve");
}

}  // namespace
}  // namespace fathom::utf8_test
