// SPDX-License-Identifier: Apache-2.0
// Vocabulary files of the RWKV World tokenizer (docs/layouts.md, "The World vocabulary"), in both
// forms that Hugging Face repositories hold. Every line is checked; errors name file and line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fathom {

// The bytes of every token by id, "" for an id without text. Two forms, told apart by the first
// character:
//   rwkv_vocab_v20230424.txt   ID LITERAL LEN, ids rising (some may be left out), LEN in bytes
//   vocab.txt                  a Python literal a line; the id is the line's number, from 0; line
//                              0 is the end-of-text token, which has no text
// Lines end in LF or CR LF; blank lines are taken at the end only. Reserved ids have no text. Throws
// Error.
std::vector<std::string> parse_world_vocabulary(std::string_view content, const std::string& name);

// Bounds the tables by id; the World vocabulary has 65536 ids.
inline constexpr size_t kMaxWorldVocabulary = size_t{1} << 20;

// Ids 65530 to 65535 of a vocabulary of up to 65536 ids are reserved (EmbeddingRWKV ends texts with
// 65535): whatever a file calls them, no text reaches them. tokens: by id.
void clear_reserved(std::vector<std::string>& tokens);

// The bytes that a Python literal stands for: '…' or "…" (text: \xNN, \uNNNN and \UNNNNNNNN are
// code points, stored as UTF-8) or b'…', b"…" (\xNN is a byte). Throws Error that quotes the
// literal.
std::string parse_python_literal(std::string_view literal);

// What is between the quotes of b'…', as GGUF files hold it. Bytes beyond ASCII stand for
// themselves. Throws Error.
std::string unescape_bytes(std::string_view body);

}  // namespace fathom
