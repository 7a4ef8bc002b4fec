// SPDX-License-Identifier: Apache-2.0
// TokenisedGroups: a stream of texts as groups of token sequences, in order. Another thread
// tokenises the next group while the caller encodes the current one. An Encoder makes packed
// batches of a group. A group holds several batches, so that little is lost in the last one.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "encode/text_source.h"
#include "text/tokenizer.h"

namespace fathom {

struct GroupLimits {
  size_t n_token = 8192;  // a group ends with the text that reaches this
  size_t n_text = 1024;   // or with this many texts
  size_t multiple = 1;    // texts of a group, but for the last group: 2 keeps pairs together
  // Bytes of a text from which on it is a group by itself, whose tokens are read while it is
  // encoded; 0: no text is. Of a tokenizer that takes parts, and with a multiple of 1.
  size_t longest = 0;
};

class TokenisedGroups {
 public:
  // All limits but the last >= 1, n_text a multiple of `multiple`. Tokenizer and texts must outlive
  // this. Starts with the first group at once. One caller at a time.
  TokenisedGroups(const Tokenizer& tokenizer, TextSource& texts, GroupLimits limits);
  TokenisedGroups(const Tokenizer& tokenizer, std::span<const std::string_view> texts,
                  GroupLimits limits);
  TokenisedGroups(const TokenisedGroups&) = delete;
  TokenisedGroups& operator=(const TokenisedGroups&) = delete;

  struct Group {
    size_t begin = 0, end = 0;            // texts
    std::vector<std::vector<Token>> ids;  // (end - begin); empty for an empty text
    LongText* long_text = nullptr;        // of a group of one long text, whose ids are not there
  };
  // The next group, when it is ready, and starts the one after it: behind a long text at the next
  // call, so that its tokens can be read until then. nullopt after the last. Throws what the
  // tokenizer and the source throw.
  std::optional<Group> next();

 private:
  void start();
  Group tokenise();

  const Tokenizer& tokenizer_;
  std::unique_ptr<TextSource> own_;  // of texts that are all there
  TextSource& texts_;
  GroupLimits limits_;
  size_t n_text_ = 0;      // in groups so far
  std::string_view text_;  // the next one, if it was taken from the source
  bool has_text_ = false, in_part_ = false;
  std::optional<LongText> long_text_;
  std::future<Group> ahead_;
};

}  // namespace fathom
