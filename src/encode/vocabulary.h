// SPDX-License-Identifier: Apache-2.0
// Finds the tokenizer of a model.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "formats/checkpoint.h"
#include "text/tokenizer.h"

namespace fathom {

struct Vocabulary {
  std::unique_ptr<Tokenizer> tokenizer;  // nullptr: none found, only token ids can be given
  std::string source;                    // where it came from, or where it was looked for
};

// In this order: `given` (--vocab); the vocabulary inside a GGUF file; bytes if n_vocab is 256; a
// tokenizer.json or *vocab*.txt beside the weights; $FATHOM_VOCAB. Throws Error if a file that was
// named, or found, cannot be used: malformed, or with ids that the model does not have.
Vocabulary find_vocabulary(const Checkpoint& checkpoint, size_t n_vocab,
                           const std::optional<std::filesystem::path>& given);

// The tokenizer, or an Error with the places that were searched and the option to use.
const Tokenizer& require_tokenizer(const Vocabulary& vocabulary);

}  // namespace fathom
