// SPDX-License-Identifier: Apache-2.0
// UTF-8, one code point at a time. Ill-formed bytes are never an error here: they read as U+FFFD,
// one for each maximal ill-formed part, as Unicode recommends and Python's errors="replace" does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fathom {

struct CodePoint {
  char32_t value;  // U+FFFD if not valid
  uint32_t size;   // bytes it takes, 1 to 4
  bool valid;
};

CodePoint decode_beyond_ascii(std::string_view bytes);

// The code point at the front of `bytes`, which must not be empty.
inline CodePoint decode_utf8(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes.front());
  return lead < 0x80 ? CodePoint{lead, 1, true} : decode_beyond_ascii(bytes);
}

bool is_utf8(std::string_view bytes);

// `bytes` with ill-formed parts replaced by U+FFFD.
std::string replace_ill_formed(std::string_view bytes);

// Appends the UTF-8 form of a code point up to U+10FFFF.
void append_utf8(char32_t code_point, std::string& out);

}  // namespace fathom
