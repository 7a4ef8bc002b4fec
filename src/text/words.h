// SPDX-License-Identifier: Apache-2.0
// Words, for the GloVe baseline: ASCII rules only, stated in every report.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fathom {

struct WordOptions {
  bool lower_case = true;          // A-Z only; other bytes stay
  bool split_punctuation = false;  // also make each ASCII punctuation character a word of its own
};

// Split at ASCII white space (space, \t \n \v \f \r) and nothing else by default. Appends to `out`.
void split_words(std::string_view text, const WordOptions& options, std::vector<std::string>& out);

}  // namespace fathom
