// SPDX-License-Identifier: Apache-2.0
// The tokenizers that work on bytes: World (from any list of byte strings) and byte-level.
#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "text/byte_trie.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace fathom {
namespace {

constexpr int64_t kGgufNormalToken = 1;

class WorldTokenizer final : public Tokenizer {
 public:
  WorldTokenizer(std::span<const std::string_view> tokens, const std::string& name)
      : trie_(tokens, name) {
    ends_.reserve(tokens.size());
    for (std::string_view token : tokens) {
      text_ += token;
      ends_.push_back(text_.size());
      longest_ = std::max(longest_, token.size());
    }
  }

  std::string_view name() const override { return "world"; }
  size_t n_vocab() const override { return ends_.size(); }

  void encode(std::string_view bytes, std::vector<Token>& out) const override {
    while (!bytes.empty()) {
      const ByteTrie::Match match = trie_.longest_match(bytes);
      out.push_back(match.key);
      bytes.remove_prefix(match.length);
    }
  }

  bool takes_parts() const override { return true; }
  size_t encode_front(std::string_view bytes, std::vector<Token>& out) const override {
    const size_t n = bytes.size();
    while (bytes.size() >= longest_) {
      const ByteTrie::Match match = trie_.longest_match(bytes);
      out.push_back(match.key);
      bytes.remove_prefix(match.length);
    }
    return n - bytes.size();
  }

  std::string piece(Token id) const override {
    FATHOM_REQUIRE(id < n_vocab(), "token id ", id, ": expected less than ", n_vocab());
    const size_t begin = id == 0 ? 0 : ends_[id - 1];
    return text_.substr(begin, ends_[id] - begin);
  }

 private:
  ByteTrie trie_;             // key = id
  std::string text_;          // of all tokens, end to end
  std::vector<size_t> ends_;  // (n_vocab) in text_
  size_t longest_ = 1;        // bytes of a token
};

class ByteTokenizer final : public Tokenizer {
 public:
  std::string_view name() const override { return "byte"; }
  size_t n_vocab() const override { return 256; }

  void encode(std::string_view bytes, std::vector<Token>& out) const override {
    for (char c : bytes) out.push_back(static_cast<unsigned char>(c));
  }

  bool takes_parts() const override { return true; }
  size_t encode_front(std::string_view bytes, std::vector<Token>& out) const override {
    encode(bytes, out);
    return bytes.size();
  }

  std::string piece(Token id) const override {
    FATHOM_REQUIRE(id < 256, "token id ", id, ": expected less than 256");
    return std::string(1, static_cast<char>(id));
  }
};

}  // namespace

std::unique_ptr<Tokenizer> byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

std::unique_ptr<Tokenizer> world_tokenizer(std::span<const std::string> tokens,
                                           const std::string& name) {
  std::vector<std::string_view> views(tokens.begin(), tokens.end());
  while (!views.empty() && views.back().empty()) views.pop_back();
  // With every byte a token, some token matches at every place: encoding cannot fail.
  std::array<bool, 256> present{};
  for (std::string_view token : views)
    if (token.size() == 1) present[static_cast<unsigned char>(token[0])] = true;
  const auto absent = std::find(present.begin(), present.end(), false);
  FATHOM_REQUIRE(absent == present.end(), name, ": no token for the single byte ",
                 absent - present.begin(), "; a World vocabulary holds all 256");
  return std::make_unique<WorldTokenizer>(views, name);
}

std::unique_ptr<Tokenizer> gguf_tokenizer(std::span<const std::string_view> entries,
                                          std::span<const int64_t> types) {
  const std::string name = "tokenizer.ggml.tokens";
  FATHOM_REQUIRE(types.empty() || types.size() == entries.size(), name, ": ", entries.size(),
                 " entries, but tokenizer.ggml.token_type has ", types.size());
  std::vector<std::string> tokens(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!types.empty() && types[i] != kGgufNormalToken) continue;
    try {
      tokens[i] = unescape_bytes(entries[i]);
    } catch (const Error& e) {
      throw Error(concat(name, "[", i, "]: ", e.what()));
    }
  }
  return world_tokenizer(tokens, name);
}

}  // namespace fathom
