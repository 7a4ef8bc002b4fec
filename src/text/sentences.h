// SPDX-License-Identifier: Apache-2.0
// The texts that embed, rerank, bench, fit, prune and route are given: one a line, or JSON.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace fathom {

enum class Empty : unsigned char { kError, kZero, kSkip };

struct Sentences {
  std::vector<std::string> texts;  // in order; empty ones only with Empty::kZero
  std::vector<size_t> line;        // (n_text) 1-based line of each; in a JSON array its place
  std::vector<size_t> skipped;     // lines left out with Empty::kSkip
};

// path: a file as TextFile takes it, "-" for standard input. It is read as JSON if `field` is given
// or if its name says so (names_json_lines): an object a line, or one array of objects; of each the
// text in `field` ["text"]. Without a given field the array may also hold texts. Otherwise a
// sentence a line; `note` is then told of lines that look like JSON. Throws Error
// naming file and line: an empty sentence (unless `empty` says otherwise), a line that is not an
// object with that text field; no sentence at all.
Sentences read_sentences(const std::string& path, const std::string& field, Empty empty,
                         const std::function<void(const std::string&)>& note = {});

}  // namespace fathom
