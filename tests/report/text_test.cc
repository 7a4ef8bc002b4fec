// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "report/markup.h"

namespace fathom::text_test {
namespace {

TEST(NextCodePoint, MovesPastWhatItReads) {
  std::u32string read;
  const std::string_view s = "a\u00e9\xFF\u20ac\U0001F600";
  for (size_t i = 0; i < s.size();) read.push_back(next_code_point(s, i));
  EXPECT_EQ(read, U"a\u00e9\uFFFD\u20ac\U0001F600");
}

TEST(EscapeXml, EscapesWhatMarkupReads) {
  EXPECT_EQ(escape_xml("a<b & \"c\">'d'"), "a&lt;b &amp; &quot;c&quot;&gt;&#39;d&#39;");
  EXPECT_EQ(escape_xml("\u00e9\n\t\u4f60"), "\u00e9\n\t\u4f60");
}

TEST(EscapeXml, ReplacesWhatXmlForbids) {
  EXPECT_EQ(escape_xml(std::string_view("\0\x1b\x7f", 3)), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(escape_xml("\xEF\xBF\xBE"), "\uFFFD");  // U+FFFE
  EXPECT_EQ(escape_xml("\xFFok"), "\uFFFDok");
}

TEST(EscapeXml, AnyBytesGiveWellFormedMarkup) {
  std::string bytes;
  for (int a = 0; a < 256; ++a) {
    for (const int b : {0x00, 0x3C, 0x80, 0xBF, 0xED, 0xF4}) {
      bytes += static_cast<char>(a);
      bytes += static_cast<char>(b);
    }
  }
  const std::string escaped = escape_xml(bytes);
  EXPECT_EQ(Markup("<a b=\"" + escaped + "\">" + escaped + "</a>", Language::kXml).error(), "");
}

TEST(EscapeScriptJson, CannotCloseTheScriptAndKeepsTheValue) {
  const Json value = {{"text", "</script><!-- <b> \u2028 &amp;"}, {"n", 1.5}};
  const std::string escaped = escape_script_json(value.dump());
  EXPECT_EQ(escaped.find('<'), escaped.npos);
  EXPECT_EQ(Json::parse(escaped), value);
}

TEST(Printable, LeavesNoControlCharacters) {
  EXPECT_EQ(printable("a\nb\x1b[31m\tc"), "a b [31m c");
  EXPECT_EQ(printable("\xC2\x9B"), " ");  // CSI as one C1 character
  EXPECT_EQ(printable("\xFFz"), "\uFFFDz");
}

TEST(DisplayWidth, CountsTerminalColumns) {
  EXPECT_EQ(display_width(""), 0u);
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("\u00e9"), 1u);
  EXPECT_EQ(display_width("e\u0301"), 1u);       // combining acute
  EXPECT_EQ(display_width("\u4f60\u597d"), 4u);  // wide
  EXPECT_EQ(display_width("\uac00\uff21"), 4u);  // Hangul, fullwidth A
  EXPECT_EQ(display_width("\U0001F600"), 2u);    // emoji
  EXPECT_EQ(display_width("a\u200bb"), 2u);      // zero-width space
  EXPECT_EQ(display_width("\xFF"), 1u);
}

TEST(Shorten, CutsAtCodePointsAndSaysSo) {
  EXPECT_EQ(shorten("abcdef", 6), "abcdef");
  EXPECT_EQ(shorten("abcdefg", 6), "abc...");
  EXPECT_EQ(shorten("\u4f60\u597d\u4f60\u597d", 6),
            "\u4f60...");  // 3 columns for text, one wide fits
  EXPECT_EQ(shorten("abcdefg", 2), "..");
  EXPECT_EQ(shorten("abcdefg", 0), "");
  for (size_t n = 0; n < 12; ++n)
    EXPECT_LE(display_width(shorten("ab\u4f60cd\u00e9\u597dgh", n)), n);
}

TEST(TextWidth, GrowsWithTextSizeAndWeight) {
  EXPECT_EQ(text_width("", 12), 0);
  EXPECT_LT(text_width("il", 12), text_width("mw", 12));
  EXPECT_DOUBLE_EQ(text_width("abc", 24), 2 * text_width("abc", 12));
  EXPECT_GT(text_width("abc", 12, true), text_width("abc", 12));
  // DejaVu Sans at 12 px: "Spearman correlation" is 10.87 em wide.
  EXPECT_NEAR(text_width("Spearman correlation", 12), 12 * 10.87, 12);
}

TEST(FitText, FitsOrIsLeftAlone) {
  EXPECT_EQ(fit_text("short", 200, 12), "short");
  const std::string cut = fit_text("a rather long label for a figure", 80, 12);
  EXPECT_LE(text_width(cut, 12), 80);
  EXPECT_EQ(cut.substr(cut.size() - 3), "...");
}

}  // namespace
}  // namespace fathom::text_test
