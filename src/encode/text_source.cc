// SPDX-License-Identifier: Apache-2.0
#include "encode/text_source.h"

#include <algorithm>

namespace fathom {

size_t LongText::read(std::span<Token> out) {
  size_t n = 0;
  while (n < out.size()) {
    if (at_ == tokens_.size() && !ended_) tokenise_more();
    const size_t some = std::min(out.size() - n, tokens_.size() - at_);
    if (some == 0 && ended_) break;
    std::copy_n(tokens_.begin() + static_cast<std::ptrdiff_t>(at_), some,
                out.begin() + static_cast<std::ptrdiff_t>(n));
    at_ += some;
    n += some;
  }
  n_token_ += n;
  return n;
}

void LongText::tokenise_more() {
  constexpr size_t kPart = size_t{1} << 16;
  tokens_.clear();
  at_ = 0;
  if (first_.empty() && rest_ && !rest_->more(first_)) rest_ = nullptr;
  held_ += first_.substr(0, kPart);
  first_.remove_prefix(std::min(first_.size(), kPart));
  ended_ = first_.empty() && !rest_;
  if (ended_)
    tokenizer_.encode(held_, tokens_);
  else
    held_.erase(0, tokenizer_.encode_front(held_, tokens_));
}

}  // namespace fathom
