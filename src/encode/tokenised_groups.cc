// SPDX-License-Identifier: Apache-2.0
#include "encode/tokenised_groups.h"

#include "base/error.h"

namespace fathom {

TokenisedGroups::TokenisedGroups(const Tokenizer& tokenizer,
                                 std::span<const std::string_view> texts, GroupLimits limits)
    : tokenizer_(tokenizer), texts_(texts), limits_(limits) {
  FATHOM_ASSERT(limits.n_token >= 1 && limits.n_text >= 1 && limits.multiple >= 1);
  FATHOM_ASSERT(limits.n_text % limits.multiple == 0);
  start(0);
}

void TokenisedGroups::start(size_t begin) {
  if (begin < texts_.size()) {
    ahead_ = std::async(std::launch::async, [this, begin] { return tokenise(begin); });
  }
}

TokenisedGroups::Group TokenisedGroups::tokenise(size_t begin) const {
  Group group{begin, begin, {}};
  for (size_t n_token = 0; group.end < texts_.size(); ++group.end) {
    const size_t n_text = group.end - begin;
    if (n_text % limits_.multiple == 0 && (n_token >= limits_.n_token || n_text == limits_.n_text))
      break;
    group.ids.push_back(tokenizer_.encode(texts_[group.end]));
    n_token += group.ids.back().size();
  }
  return group;
}

std::optional<TokenisedGroups::Group> TokenisedGroups::next() {
  if (!ahead_.valid()) return std::nullopt;
  Group group = ahead_.get();
  start(group.end);
  return group;
}

}  // namespace fathom
