// SPDX-License-Identifier: Apache-2.0
#include "formats/header_json.h"

#include <algorithm>

#include "base/error.h"
#include "formats/checks.h"

namespace fathom {
namespace {

void append_utf8(uint32_t code_point, std::string& out) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  const auto put_tail = [&](int shift) { put(0x80 | (code_point >> shift & 0x3f)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put_tail(0);
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put_tail(6);
    put_tail(0);
  } else {
    put(0xf0 | code_point >> 18);
    put_tail(12);
    put_tail(6);
    put_tail(0);
  }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

void HeaderJson::fail(std::string_view expected) const {
  throw Error(concat("header, byte ", at_, ": expected ", expected, ", got '",
                     excerpt(text_.substr(at_, 20)), "'"));
}

void HeaderJson::skip_space() {
  at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
}

bool HeaderJson::consume(char c) {
  skip_space();
  if (at_ == text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

void HeaderJson::expect(char c) {
  if (!consume(c)) fail(concat("'", c, "'"));
}

char HeaderJson::next() {
  if (at_ == text_.size()) fail("the end of a string");
  return text_[at_++];
}

uint32_t HeaderJson::hex4() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = next(), lower = static_cast<char>(c | 0x20);
    const bool letter = lower >= 'a' && lower <= 'f';
    if (!letter && !is_digit(c)) fail("four hexadecimal digits");
    value = value * 16 + static_cast<uint32_t>(letter ? lower - 'a' + 10 : c - '0');
  }
  return value;
}

void HeaderJson::append_escape(std::string& out) {
  constexpr std::string_view kLetters = "\"\\/bfnrt", kMeaning = "\"\\/\b\f\n\r\t";
  const char c = next();
  if (const size_t i = kLetters.find(c); i != kLetters.npos) {
    out.push_back(kMeaning[i]);
    return;
  }
  if (c != 'u') fail("an escape sequence");
  uint32_t code_point = hex4();
  if (code_point >= 0xd800 && code_point < 0xdc00) {  // the first half of a surrogate pair
    if (next() != '\\' || next() != 'u') fail("the second half of a surrogate pair");
    const uint32_t second = hex4();
    if (second < 0xdc00 || second > 0xdfff) fail("the second half of a surrogate pair");
    code_point = 0x10000 + ((code_point - 0xd800) << 10) + (second - 0xdc00);
  } else if (code_point >= 0xdc00 && code_point <= 0xdfff) {
    fail("the first half of a surrogate pair");
  }
  append_utf8(code_point, out);
}

std::string HeaderJson::string(size_t max_bytes) {
  expect('"');
  std::string out;
  for (char c = next(); c != '"'; c = next()) {
    if (static_cast<unsigned char>(c) < 0x20) fail("no control character in a string");
    if (c == '\\') {
      append_escape(out);
    } else {
      out.push_back(c);
    }
    FATHOM_REQUIRE(out.size() <= max_bytes, "header, byte ", at_, ": a string of more than ",
                   max_bytes, " bytes");
  }
  return out;
}

size_t HeaderJson::integer() {
  skip_space();
  if (at_ == text_.size() || !is_digit(text_[at_])) fail("a number of digits only");
  if (text_[at_] == '0' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))
    fail("a number without leading zeros");
  size_t value = 0;
  for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
    const size_t digit = static_cast<size_t>(text_[at_] - '0');
    if (__builtin_mul_overflow(value, size_t{10}, &value) ||
        __builtin_add_overflow(value, digit, &value))
      fail("a number below 2^64");
  }
  return value;
}

void HeaderJson::end() {
  skip_space();
  if (at_ != text_.size()) fail("the end of the header");
}

}  // namespace fathom
