// SPDX-License-Identifier: Apache-2.0
// TokenisedGroups: a stream of texts as groups of token sequences, in order, each tokenised on
// another thread while the caller encodes the one before it. An Encoder makes packed batches of a
// group; a group is several of them, so that little is lost in the last one.
#pragma once

#include <future>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace fathom {

struct GroupLimits {
  size_t n_token = 8192;  // a group ends with the text that reaches this
  size_t n_text = 1024;   // or with this many texts
  size_t multiple = 1;    // texts of a group, but for the last group: 2 keeps pairs together
};

class TokenisedGroups {
 public:
  // All limits >= 1, n_text a multiple of `multiple`. Tokenizer and texts must outlive this. Starts
  // with the first group at once. One caller at a time.
  TokenisedGroups(const Tokenizer& tokenizer, std::span<const std::string_view> texts,
                  GroupLimits limits);
  TokenisedGroups(const TokenisedGroups&) = delete;
  TokenisedGroups& operator=(const TokenisedGroups&) = delete;

  struct Group {
    size_t begin = 0, end = 0;            // texts
    std::vector<std::vector<Token>> ids;  // (end - begin); empty for an empty text
  };
  // The next group, when it is ready, and starts the one after it; nullopt after the last. Throws
  // what the tokenizer throws.
  std::optional<Group> next();

 private:
  void start(size_t begin);
  Group tokenise(size_t begin) const;

  const Tokenizer& tokenizer_;
  std::span<const std::string_view> texts_;
  GroupLimits limits_;
  std::future<Group> ahead_;
};

}  // namespace fathom
