// SPDX-License-Identifier: Apache-2.0
// The texts that embed, classify, search, rerank, bench, fit, prune and route are given: one a line,
// JSON, or a table.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_parts.h"

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

// One of a stream of them.
struct Sentence {
  std::string text;
  size_t line = 0;        // of the input, from 1; in a JSON array its place
  std::string id, label;  // where a field of theirs was asked for
};

// The sentences of one file, one after the other, as read_sentences() takes them, empty ones too. No
// more is held than one of them and the parts in which the file comes. A value of JSON has at most
// kLongestJson bytes. One thread at a time.
class SentenceStream {
 public:
  // asked: what the user called the file; found: where it is, as find_text_file() says. bytes: its
  // content, packed or not. name: what messages call it. row_wanted: by the number of the row, from
  // 1; others are passed over, and not looked into where their format allows it.
  struct Source {
    std::filesystem::path asked, found;
    std::string name;
    std::unique_ptr<ByteParts> bytes;
    std::function<bool(size_t)> row_wanted = {};
  };
  SentenceStream(Source source, SentenceFields fields,
                 std::function<void(const std::string&)> note = {});
  SentenceStream(SentenceStream&&) noexcept;
  ~SentenceStream();

  // The next one; false behind the last. Of a line of more than LineReader::kLongest bytes the text is
  // the beginning: then more() gives the rest, which the next call would pass over. Throws Error
  // naming file and line.
  bool next(Sentence& sentence);
  bool in_part() const;
  bool more(std::string_view& part);
  // "FILE, line 7": of the last one.
  std::string place() const;
  size_t n_row() const;  // that were passed over or given

 private:
  class Format;
  class Lines;
  class JsonLines;
  class JsonArray;
  class Table;
  struct State;
  std::unique_ptr<State> state_;
};

// Throws the Error of an empty sentence that is none of those that may be.
[[noreturn]] void throw_empty(const std::string& place);

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
