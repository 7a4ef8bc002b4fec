// SPDX-License-Identifier: Apache-2.0
// Byte-level BPE as GPT-2 and GPT-NeoX-20B use it (RWKV-4 Pile), from a Hugging Face
// tokenizer.json.
//
// Encoding, as the tokenizers library does it:
//   1. added tokens with "normalized": false are cut out of the text, leftmost and longest first
//   2. what lies between is put into NFC if the normalizer is NFC
//   3. the other added tokens are cut out
//   4. what lies between is split into words by GPT-2's pattern (gpt2_words.h)
//   5. a word's bytes are symbols; the pair that comes first in the list of merges, and of equal
//      ones the leftmost, is merged until no pair is in the list
// Bytes that are not UTF-8 read as U+FFFD. The post-processor (which adds special tokens),
// truncation and padding of the file are not used.
//
// Refused by name: models other than BPE, other normalizers and pre-tokenizers, added tokens that
// strip spaces or want word boundaries, dropout, byte fallback, prefixes and suffixes of subwords.
#pragma once

#include <memory>
#include <string>

#include "base/json.h"
#include "text/tokenizer.h"

namespace fathom {

// `root`: the whole tokenizer.json. Throws Error naming `name` and the field, or Json::exception.
std::unique_ptr<Tokenizer> bpe_tokenizer(const Json& root, const std::string& name);

}  // namespace fathom
