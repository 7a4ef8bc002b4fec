// SPDX-License-Identifier: Apache-2.0
// The texts that embed, classify, search, rerank, bench, fit, prune and route are given: one a line,
// JSON, or a table.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace fathom {

enum class Empty : unsigned char { kError, kZero, kSkip };

struct Sentences {
  std::vector<std::string> texts;      // in order; empty ones only with Empty::kZero
  std::vector<size_t> line;            // (n_text) 1-based line of each; in a JSON array its place
  std::vector<size_t> skipped;         // lines left out with Empty::kSkip
  std::vector<std::string> id, label;  // (n_text) where a field of theirs was asked for, else empty
};

// Names of fields: columns of a table with a header, fields of JSON objects. "": none.
struct SentenceFields {
  std::string text, id = {}, label = {};
};

// path: a file as TextFile takes it, "-" for standard input. It is read as JSON if `field` is given
// or if its name says so (format_of_name): an object a line, or one array of objects; of each the
// text in `field` ["text"]. Without a given field the array may also hold texts. A file named .csv or
// .tsv, or with a field and a header that holds it, is a table (text/csv.h). Otherwise a sentence a
// line; `note` is then told of lines that look like JSON or like a table. Throws Error
// naming file and line: an empty sentence (unless `empty` says otherwise), a line that is not an
// object with that text field; a table without `field`, listing its columns; no sentence at all.
Sentences read_sentences(const std::string& path, const SentenceFields& fields, Empty empty,
                         const std::function<void(const std::string&)>& note = {});
inline Sentences read_sentences(const std::string& path, const std::string& field, Empty empty,
                                const std::function<void(const std::string&)>& note = {}) {
  return read_sentences(path, SentenceFields{.text = field}, empty, note);
}

}  // namespace fathom
