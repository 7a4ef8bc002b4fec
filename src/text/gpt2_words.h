// SPDX-License-Identifier: Apache-2.0
// How GPT-2's byte-level BPE cuts text into words before it merges anything:
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// written out by hand, since the alternatives need no backtracking but one: \s+(?!\S) leaves the
// last white-space character of a run to the word that follows.
#pragma once

#include <cstddef>
#include <string_view>

namespace fathom {

// Bytes of the first word of `text` (well-formed UTF-8, not empty).
size_t gpt2_word(std::string_view text);

}  // namespace fathom
