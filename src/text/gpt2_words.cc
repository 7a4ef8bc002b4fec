// SPDX-License-Identifier: Apache-2.0
#include "text/gpt2_words.h"

#include "base/error.h"
#include "base/utf8.h"
#include "text/unicode.h"

namespace fathom {
namespace {

constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

CharClass class_at(std::string_view text, size_t at, size_t& size) {
  const CodePoint c = decode_utf8(text.substr(at));
  size = c.size;
  return char_class(c.value);
}

// White space from the front on. If a word follows, its last character is left to that word,
// unless it is the only one.
size_t space_run(std::string_view text) {
  size_t end = 0, last = 0, size = 0;
  while (end < text.size() && class_at(text, end, size) == CharClass::kSpace) {
    last = end;
    end += size;
  }
  return end == text.size() || last == 0 ? end : last;
}

}  // namespace

size_t gpt2_word(std::string_view text) {
  FATHOM_ASSERT(!text.empty());
  if (text[0] == '\'')
    for (std::string_view contraction : kContractions)
      if (text.starts_with(contraction)) return contraction.size();

  // One space may stand in front of a run of a single class.
  size_t end = text[0] == ' ' && text.size() > 1 ? 1 : 0;
  size_t size = 0;
  const CharClass run = class_at(text, end, size);
  if (run == CharClass::kSpace) return space_run(text);
  while (end < text.size() && class_at(text, end, size) == run) end += size;
  return end;
}

}  // namespace fathom
