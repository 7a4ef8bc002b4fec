// SPDX-License-Identifier: Apache-2.0
// What a tokenizer.json says, checked and in the form that bpe.cc encodes with.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
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

// `root`: the whole tokenizer.json. Throws Error naming `name` and the field, or Json::exception.
BpeDefinition parse_bpe_definition(const Json& root, const std::string& name);

// The printable characters by which GPT-2 writes the 256 bytes.
std::array<char32_t, 256> byte_alphabet();

}  // namespace fathom
