// SPDX-License-Identifier: Apache-2.0
#include "report/text.h"

#include <algorithm>
#include <iterator>

#include "base/utf8.h"

namespace fathom {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

struct Range {
  char32_t first, last;
};

bool contains(const Range* begin, const Range* end, char32_t c) {
  const Range* at =
      std::lower_bound(begin, end, c, [](const Range& r, char32_t v) { return r.last < v; });
  return at != end && at->first <= c;
}

// The blocks that matter in practice, after Unicode's EastAsianWidth W and F, and its Mn and Cf.
constexpr Range kWide[] = {
    {0x1100, 0x115F}, {0x2E80, 0x303E}, {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF}, {0xA960, 0xA97F}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
    {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
constexpr Range kZeroWidth[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD},  {0x064B, 0x065F}, {0x093A, 0x093A},
    {0x093C, 0x093C}, {0x0941, 0x0948}, {0x094D, 0x094D},  {0x0E31, 0x0E31}, {0x0E34, 0x0E3A},
    {0x200B, 0x200F}, {0x202A, 0x202E}, {0x2060, 0x2064},  {0x20D0, 0x20F0}, {0xFE00, 0xFE0F},
    {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF}};

bool is_wide(char32_t c) { return contains(std::begin(kWide), std::end(kWide), c); }
bool is_zero_width(char32_t c) { return contains(std::begin(kZeroWidth), std::end(kZeroWidth), c); }
bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

bool is_xml_character(char32_t c) {
  if (c < 0x20) return c == '\t' || c == '\n' || c == '\r';
  return c < 0x7F || (c >= 0xA0 && c != 0xFFFE && c != 0xFFFF);
}

size_t columns_of(char32_t c) {
  if (is_zero_width(c)) return 0;
  return is_wide(c) ? 2 : 1;
}

}  // namespace

char32_t next_code_point(std::string_view s, size_t& i) {
  const CodePoint c = decode_utf8(s.substr(i));
  i += c.size;
  return c.value;
}

std::string escape_xml(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) {
    const char32_t c = next_code_point(s, i);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        append_utf8(is_xml_character(c) ? c : kReplacement, out);
    }
  }
  return out;
}

std::string escape_script_json(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (size_t i = 0; i < json.size();) {
    const char32_t c = next_code_point(json, i);
    if (c == '<') {
      out += "\\u003c";
    } else {
      append_utf8(c, out);
    }
  }
  return out;
}

std::string printable(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) {
    const char32_t c = next_code_point(s, i);
    append_utf8(is_control(c) ? U' ' : c, out);
  }
  return out;
}

size_t display_width(std::string_view s) {
  size_t width = 0;
  for (size_t i = 0; i < s.size();) width += columns_of(next_code_point(s, i));
  return width;
}

std::string shorten(std::string_view s, size_t columns) {
  if (display_width(s) <= columns) return std::string(s);
  const size_t n_dot = std::min<size_t>(3, columns);
  std::string out;
  size_t used = n_dot;
  for (size_t i = 0; i < s.size();) {
    const char32_t c = next_code_point(s, i);
    used += columns_of(c);
    if (used > columns) break;
    append_utf8(c, out);
  }
  return out.append(n_dot, '.');
}

double text_width(std::string_view s, double font_size, bool bold) {
  constexpr std::string_view kNarrow = "ijlIJ .,:;'|/\\-";
  constexpr std::string_view kMedium = "rtf()[]!?\"*";
  constexpr std::string_view kBroad = "mwMW%@#<>+=~";
  double em = 0;
  for (size_t i = 0; i < s.size();) {
    const char32_t c = next_code_point(s, i);
    if (c >= 0x80) {
      em += is_wide(c) ? 1 : 0.65 * static_cast<double>(columns_of(c));
      continue;
    }
    const char ascii = static_cast<char>(c);
    if (kNarrow.find(ascii) != kNarrow.npos) {
      em += 0.33;
    } else if (kMedium.find(ascii) != kMedium.npos) {
      em += 0.41;
    } else if (kBroad.find(ascii) != kBroad.npos) {
      em += 0.92;
    } else {
      em += ascii >= 'A' && ascii <= 'Z' ? 0.7 : 0.62;
    }
  }
  return em * font_size * (bold ? 1.13 : 1);
}

std::string fit_text(std::string_view s, double width, double font_size, bool bold) {
  std::string out(s);
  for (size_t n = display_width(s); n > 3 && text_width(out, font_size, bold) > width; --n) {
    out = shorten(s, n - 1);
  }
  return out;
}

}  // namespace fathom
