// SPDX-License-Identifier: Apache-2.0
#include "text/words.h"

#include <algorithm>

namespace fathom {
namespace {

// Not <cctype>: its answers depend on the locale.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

void split_words(std::string_view text, const WordOptions& options, std::vector<std::string>& out) {
  const auto add = [&](std::string_view word) {
    std::string& added = out.emplace_back(word);
    if (options.lower_case) std::transform(added.begin(), added.end(), added.begin(), to_lower);
  };
  size_t begin = 0;
  const auto end_word = [&](size_t end) {
    if (begin < end) add(text.substr(begin, end - begin));
    begin = end + 1;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_space(text[i])) {
      end_word(i);
    } else if (options.split_punctuation && is_punctuation(text[i])) {
      end_word(i);
      add(text.substr(i, 1));
    }
  }
  end_word(text.size());
}

}  // namespace fathom
