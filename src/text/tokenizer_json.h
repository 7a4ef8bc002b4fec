// SPDX-License-Identifier: Apache-2.0
// What a Hugging Face tokenizer.json holds: a byte-level BPE (bpe.h) or the World vocabulary
// (word_level.h), told by "model.type".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace fathom {

// `json`: the content of the file. Throws Error naming `name` and the field.
std::unique_ptr<Tokenizer> json_tokenizer(std::string_view json, const std::string& name);

}  // namespace fathom
