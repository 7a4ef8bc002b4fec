// SPDX-License-Identifier: Apache-2.0
// What byte-level BPE needs to know of Unicode: the classes its pattern names, and NFC. The tables
// are those of utf8proc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fathom {

enum class CharClass : uint8_t {
  kLetter,  // \p{L}
  kNumber,  // \p{N}
  kSpace,   // \s: the property White_Space
  kOther,
};

CharClass char_class(char32_t code_point);

// Puts well-formed UTF-8 into Normalization Form C, in place. O(n log n) for any text.
void normalize_nfc(std::string& text);

}  // namespace fathom
