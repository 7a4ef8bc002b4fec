// SPDX-License-Identifier: Apache-2.0
// Tokenizer: bytes to token ids and back. No BOS: what a caller wants in front of a text, the
// caller adds. World and byte take the bytes as they are: no special-token parsing, no
// normalisation. BPE does what its tokenizer.json says (see bpe.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

using Token = uint32_t;

// Immutable; safe to use from many threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual std::string_view name() const = 0;  // "world", "byte", "bpe"
  virtual size_t n_vocab() const = 0;         // largest id it can produce, plus 1
  // Appends the ids of `bytes`, which are usually UTF-8. Never fails: world and byte encode any
  // bytes as they are, bpe reads ill-formed UTF-8 as U+FFFD.
  virtual void encode(std::string_view bytes, std::vector<Token>& out) const = 0;
  // Whether encode_front() gives anything: a long text can be read in parts.
  virtual bool takes_parts() const { return false; }
  // The beginning of a text: appends the ids that are certain whatever follows, and returns how many
  // bytes they are. encode() of the rest with what follows gives the other ids.
  virtual size_t encode_front(std::string_view, std::vector<Token>&) const { return 0; }
  // The bytes of one token; "" for ids without text. Throws Error for an id >= n_vocab().
  virtual std::string piece(Token id) const = 0;

  std::vector<Token> encode(std::string_view bytes) const {
    std::vector<Token> out;
    encode(bytes, out);
    return out;
  }
  std::string decode(std::span<const Token> ids) const {
    std::string out;
    for (Token id : ids) out += piece(id);
    return out;
  }
};

// The format is detected from the content: a World vocabulary (both Hugging Face variants:
// docs/layouts.md) or a tokenizer.json with a byte-level BPE or the World vocabulary. Throws Error
// naming the file.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path);
// The same from memory; `name` is what errors call it.
std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view content, const std::string& name);

// id = byte, n_vocab = 256.
std::unique_ptr<Tokenizer> byte_tokenizer();

// Greedy longest match over the given byte strings: tokens[i] is the text of id i, "" for none.
// Throws Error unless all 256 single bytes are there (else encoding could fail) and no two tokens
// are equal; `name` is what the error calls the list.
std::unique_ptr<Tokenizer> world_tokenizer(std::span<const std::string> tokens,
                                           const std::string& name = "vocabulary");

// GGUF's "rwkv" vocabulary: each entry is the Python repr of the bytes without b''
// (docs/layouts.md, "GGUF"); only entries of type NORMAL (1) are matched in text. types may be
// empty (all normal).
std::unique_ptr<Tokenizer> gguf_tokenizer(std::span<const std::string_view> entries,
                                          std::span<const int64_t> types);

}  // namespace fathom
