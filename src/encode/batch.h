// SPDX-License-Identifier: Apache-2.0
// Batch: sequences of different lengths, packed end to end without padding.
#pragma once

#include <span>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"

namespace fathom {

class Batch {
 public:
  // Sequence i owns tokens[offsets[i] .. offsets[i + 1]); an empty sequence has no last token to
  // pool, so it is refused here and nowhere else.
  void add(std::span<const Token> sequence) {
    FATHOM_REQUIRE(!sequence.empty(), "cannot embed an empty sequence");
    tokens_.insert(tokens_.end(), sequence.begin(), sequence.end());
    offsets_.push_back(tokens_.size());
  }
  void clear() {
    tokens_.clear();
    offsets_ = {0};
  }

  size_t size() const { return offsets_.size() - 1; }           // sequences
  size_t n_token() const { return tokens_.size(); }             // rows of the residual stream
  std::span<const size_t> offsets() const { return offsets_; }  // (size() + 1)
  std::span<const Token> tokens() const { return tokens_; }

 private:
  std::vector<Token> tokens_;          // (n_token)
  std::vector<size_t> offsets_ = {0};  // (n_sequence + 1), offsets_[0] == 0
};

}  // namespace fathom
