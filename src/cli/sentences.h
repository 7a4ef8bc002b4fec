// SPDX-License-Identifier: Apache-2.0
// The input of `fathom embed`: one sentence a line, or JSONL.
#pragma once

#include <string>
#include <vector>

namespace fathom::cli {

enum class Empty : unsigned char { kError, kZero, kSkip };

struct Sentences {
  std::vector<std::string> texts;  // in order; empty ones only with Empty::kZero
  std::vector<size_t> line;        // (n_text) 1-based line of each
  std::vector<size_t> skipped;     // lines left out with Empty::kSkip
};

// path: a file (plain or .xz), "-" for standard input. field: of JSONL objects; "" reads plain
// lines. Throws Error naming file and line: an empty sentence (unless `empty` says otherwise), a
// line that is not an object with that text field; UsageError if there is no sentence at all.
Sentences read_sentences(const std::string& path, const std::string& field, Empty empty);

}  // namespace fathom::cli
