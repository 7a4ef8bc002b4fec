// SPDX-License-Identifier: Apache-2.0
// The World vocabulary as a standard fast tokenizer.json (docs/layouts.md), the form in which
// transformers' native RWKV-7 models bring it:
//   model           WordLevel, tokens in GPT-2's alphabet of bytes
//   pre_tokenizer   ByteLevel (no pattern, no space in front), then Split, isolated, by one
//                   alternation of all tokens in which none stands behind a prefix of itself
// The first alternative that matches is then the longest, which is what a World tokenizer takes, so
// the tokens of the alternation, as bytes, are the whole of it. Whatever would give other ids is
// refused by name.
//
// No text reaches id 0, the reserved ids or an added token: text that spells one is ordinary text,
// as with split_special_tokens.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace fathom {

// The bytes of every token by id, "" for an id that no text reaches. `root`: the whole
// tokenizer.json. Throws Error naming `name` and the field, or Json::exception.
std::vector<std::string> parse_word_level(const Json& root, const std::string& name);

}  // namespace fathom
