// SPDX-License-Identifier: Apache-2.0
// Token ids as text, both ways round.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace fathom {

// Ids between commas, white space or JSON's brackets. Takes what it reads off the front of `text`:
// what is left, if anything, is no id.
std::vector<Token> take_token_ids(std::string_view& text);

// A token's bytes, readable: UTF-8 as it is, line ends and tabs as in C, all else as \xNN.
std::string readable_piece(std::string_view bytes);

// Lines {"name": ..., "hex": "..."}, whose bytes may be no UTF-8, to lines {"name": ..., "ids": [...]}.
// Throws Error naming the line.
std::string tokenize_jsonl(const Tokenizer& tokenizer, std::string_view input);

}  // namespace fathom
