// SPDX-License-Identifier: Apache-2.0
// Bytes as hexadecimal text.
#pragma once

#include <string>

#include "base/error.h"

namespace fathom {

// Throws Error that begins with `where`.
inline std::string hex_to_bytes(const std::string& hex, const std::string& where) {
  const auto digit = [&](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    throw Error(concat(where, ": hex: expected hexadecimal digits, got '", c, "'"));
  };
  FATHOM_REQUIRE(hex.size() % 2 == 0, where, ": hex: expected an even number of digits, got ",
                 hex.size());
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  return bytes;
}

}  // namespace fathom
