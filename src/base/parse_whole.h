// SPDX-License-Identifier: Apache-2.0
// Whole numbers as text.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fathom {

// Decimal digits and nothing else; nullopt for a sign, an empty text, blanks, 1.5, 0x10, and what
// 64 bits do not hold.
inline std::optional<uint64_t> parse_whole(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace fathom
