// SPDX-License-Identifier: Apache-2.0
// Writes the vocabulary of a converted model: inside a GGUF file, or beside the weights.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "encode/vocabulary.h"
#include "formats/write_gguf.h"

namespace fathom {

// Appends tokenizer.ggml.* (docs/layouts.md). World: model "rwkv", one entry for each of the
// n_vocab ids. Otherwise model "none" and architecture.vocab_size, so that token ids can be fed.
// What a user has to know is added to notes.
void add_gguf_vocabulary(const Vocabulary& vocabulary, const std::string& architecture,
                         size_t n_vocab, GgufMetadata& metadata, std::vector<std::string>& notes);

struct VocabularyFile {
  std::string name;  // as Hugging Face's tokenizers look for it
  std::string text;
};
// The file to put beside the weights; nullopt where there is none to write, and then notes say so.
std::optional<VocabularyFile> vocabulary_file(const Vocabulary& vocabulary,
                                              std::vector<std::string>& notes);

// Python's repr of bytes without b and quotes, as GGUF holds tokens.
std::string python_repr(std::string_view bytes);

// Whether a conversion may write there: config.json may be written over if an earlier conversion
// made it, a vocabulary if it is the same; "": none is written. Throws Error naming the file.
void require_may_write(const std::filesystem::path& config, const std::filesystem::path& vocabulary,
                       const std::string& vocabulary_text);

}  // namespace fathom
