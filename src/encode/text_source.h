// SPDX-License-Identifier: Apache-2.0
// The source of a stream of texts, and the tokens of a text that is too long for memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace fathom {

// Texts one after the other. By one thread at a time, not always the same one.
class TextSource {
 public:
  virtual ~TextSource() = default;
  // The next text, valid until the next call of any function; false behind the last. in_part: it is
  // the beginning of one, of which more() gives the rest.
  virtual bool next(std::string_view& text, bool& in_part) = 0;
  // The next part of a text that was begun; false behind its last.
  virtual bool more(std::string_view&) { return false; }
};

// The same of texts that are all there.
class TextSpan final : public TextSource {
 public:
  explicit TextSpan(std::span<const std::string_view> texts) : texts_(texts) {}
  bool next(std::string_view& text, bool& in_part) override {
    if (at_ == texts_.size()) return false;
    text = texts_[at_++];
    in_part = false;
    return true;
  }

 private:
  std::span<const std::string_view> texts_;
  size_t at_ = 0;
};

// Tokens in order, as many at a time as are asked for.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  // Fills `out` from the front; fewer than it holds at the end alone. Returns how many.
  virtual size_t read(std::span<Token> out) = 0;
};

// The tokens of a text that comes in parts, by a tokenizer that takes parts.
class LongText final : public TokenSource {
 public:
  // first: the beginning of the text, valid until its rest is asked for. `rest`: nullptr if that
  // was all. All must outlive this.
  LongText(const Tokenizer& tokenizer, std::string_view first, TextSource* rest)
      : tokenizer_(tokenizer), first_(first), rest_(rest) {}
  size_t read(std::span<Token> out) override;
  size_t n_token() const { return n_token_; }  // that were read

 private:
  void tokenise_more();

  const Tokenizer& tokenizer_;
  std::string_view first_;  // of it what is not yet in held_
  TextSource* rest_;
  std::string held_;           // not yet tokens
  std::vector<Token> tokens_;  // from at_ on not yet read
  size_t at_ = 0, n_token_ = 0;
  bool ended_ = false;
};

}  // namespace fathom
