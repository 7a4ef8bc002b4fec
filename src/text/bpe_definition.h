// SPDX-License-Identifier: Apache-2.0
// What a tokenizer.json says, checked and in the form that bpe.cc encodes with.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace fathom {

struct BpeMerge {
  Token left, right, result;
};

struct AddedToken {
  std::string content;
  Token id;
  bool normalized;  // looked for after normalization, in normalized form
};

struct BpeDefinition {
  std::vector<std::string> pieces;     // bytes by id; "" where there is no token
  std::array<Token, 256> byte_tokens;  // kNoToken for the bytes that UTF-8 never has
  std::vector<BpeMerge> merges;        // first = merged first; of equal pairs the last counts
  std::vector<AddedToken> added;
  bool nfc = false;
  bool add_prefix_space = false;
};

inline constexpr Token kNoToken = UINT32_MAX;

// Throws Error naming `name` and the field.
BpeDefinition parse_bpe_definition(std::string_view json, const std::string& name);

}  // namespace fathom
