// SPDX-License-Identifier: Apache-2.0
#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <new>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"

namespace fathom {
namespace {

bool is_white_space(char32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

CharClass classify(char32_t c) {
  if (is_white_space(c)) return CharClass::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    default:
      return CharClass::kOther;
  }
}

utf8proc_propval_t combining_class(utf8proc_int32_t c) {
  return utf8proc_get_property(c)->combining_class;
}

// Canonical decomposition, in canonical order. Not utf8proc_decompose(): it sorts a run of marks
// by exchanging neighbours, quadratic for long ones.
std::vector<utf8proc_int32_t> decompose(std::string_view text) {
  constexpr auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  std::vector<utf8proc_int32_t> out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode_utf8(text);
    text.remove_prefix(c.size);
    std::array<utf8proc_int32_t, 8> parts;  // a canonical decomposition has at most 4
    int boundary_class = 0;
    const utf8proc_ssize_t n =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), parts.data(), parts.size(),
                                options, &boundary_class);
    FATHOM_ASSERT(n >= 0 && n <= static_cast<utf8proc_ssize_t>(parts.size()));
    out.insert(out.end(), parts.begin(), parts.begin() + n);
  }
  const auto is_mark = [](utf8proc_int32_t c) { return combining_class(c) != 0; };
  for (auto begin = out.begin(); begin != out.end();) {
    begin = std::find_if(begin, out.end(), is_mark);
    const auto end = std::find_if_not(begin, out.end(), is_mark);
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
  return out;
}

}  // namespace

CharClass char_class(char32_t c) {
  static const auto ascii = [] {
    std::array<CharClass, 128> table{};
    for (char32_t i = 0; i < table.size(); ++i) table[i] = classify(i);
    return table;
  }();
  return c < ascii.size() ? ascii[c] : classify(c);
}

void normalize_nfc(std::string& text) {
  // No character below U+0300 is a mark or changes in NFC; from 0xCC on, lead bytes lie above it.
  if (std::all_of(text.begin(), text.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0xCC; }))
    return;
  constexpr auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  std::vector<utf8proc_int32_t> points = decompose(text);
  const utf8proc_ssize_t n = utf8proc_normalize_utf32(
      points.data(), static_cast<utf8proc_ssize_t>(points.size()), options);
  FATHOM_ASSERT(n >= 0 && n <= static_cast<utf8proc_ssize_t>(points.size()));
  text.clear();
  for (utf8proc_ssize_t i = 0; i < n; ++i)
    append_utf8(static_cast<char32_t>(points[static_cast<size_t>(i)]), text);
}

}  // namespace fathom
