// SPDX-License-Identifier: Apache-2.0
#include "encode/tokenised_groups.h"

#include <string>
#include <utility>

#include "base/error.h"

namespace fathom {

TokenisedGroups::TokenisedGroups(const Tokenizer& tokenizer, TextSource& texts, GroupLimits limits)
    : tokenizer_(tokenizer), texts_(texts), limits_(limits) {
  FATHOM_ASSERT(limits.n_token >= 1 && limits.n_text >= 1 && limits.multiple >= 1);
  FATHOM_ASSERT(limits.n_text % limits.multiple == 0);
  FATHOM_ASSERT(limits.longest == 0 || (limits.multiple == 1 && tokenizer.takes_parts()));
  start();
}

TokenisedGroups::TokenisedGroups(const Tokenizer& tokenizer,
                                 std::span<const std::string_view> texts, GroupLimits limits)
    : tokenizer_(tokenizer),
      own_(std::make_unique<TextSpan>(texts)),
      texts_(*own_),
      limits_(limits) {
  FATHOM_ASSERT(limits.n_token >= 1 && limits.n_text >= 1 && limits.multiple >= 1);
  FATHOM_ASSERT(limits.n_text % limits.multiple == 0 && limits.longest == 0);
  start();
}

void TokenisedGroups::start() {
  ahead_ = std::async(std::launch::async, [this] { return tokenise(); });
}

TokenisedGroups::Group TokenisedGroups::tokenise() {
  Group group{n_text_, n_text_, {}, nullptr};
  for (size_t n_token = 0;; ++group.end) {
    const size_t n_text = group.end - group.begin;
    if (n_text % limits_.multiple == 0 && (n_token >= limits_.n_token || n_text == limits_.n_text))
      break;
    if (!has_text_) has_text_ = texts_.next(text_, in_part_);
    if (!has_text_) break;
    const bool is_long = limits_.longest > 0 && (in_part_ || text_.size() > limits_.longest);
    if (is_long && n_text > 0) break;
    has_text_ = false;
    if (is_long) {
      group.long_text = &long_text_.emplace(tokenizer_, text_, in_part_ ? &texts_ : nullptr);
      group.ids.emplace_back();
      ++group.end;
      break;
    }
    if (in_part_) {
      std::string whole(text_);
      for (std::string_view part; texts_.more(part);) whole += part;
      group.ids.push_back(tokenizer_.encode(whole));
    } else {
      group.ids.push_back(tokenizer_.encode(text_));
    }
    n_token += group.ids.back().size();
  }
  n_text_ = group.end;
  return group;
}

std::optional<TokenisedGroups::Group> TokenisedGroups::next() {
  if (long_text_ && !ahead_.valid()) {
    long_text_.reset();
    start();
  }
  if (!ahead_.valid()) return std::nullopt;
  Group group = ahead_.get();
  if (group.begin == group.end) return std::nullopt;
  if (!group.long_text) start();
  return group;
}

}  // namespace fathom
