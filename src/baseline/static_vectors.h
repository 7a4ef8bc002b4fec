// SPDX-License-Identifier: Apache-2.0
// The static baselines: word vectors and a token bag. A text is the mean of the
// vectors of its words or tokens.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "baseline/glove.h"

namespace fathom {

struct StaticOptions {
  std::string glove, bag;  // a file of word vectors, a folder of a token bag; "": none
  WordOptions words = {};
};

// The texts of one split or several.
using SplitTexts = std::initializer_list<std::span<const std::string_view>>;

// A warning for table and report where a baseline of this name knows less than a tenth of the words:
// it is then hardly one. Usually the file is of another language, spelling or case.
std::optional<std::string> warn_of_unknown_words(std::string_view name, const Coverage& coverage);

// With the vectors that these texts need, no others. Throws as Glove::open.
Glove open_glove(const StaticOptions& options, SplitTexts splits);

// Immutable: `embed` may be called by many threads.
struct StaticVectors {
  std::string name;  // "glove" or "bag"
  size_t dim = 0;
  // Writes the mean, (dim); zeros for a text without known words. Returns how many it has.
  std::function<size_t(std::string_view text, std::span<float> mean)> embed;
  OrderedJson about;
  std::vector<std::string> notes;  // on the file, and warn_of_unknown_words
  bool warns = false;              // knows less than a tenth of the words
};
// Those that the options name. Throws Error naming the file.
std::vector<StaticVectors> open_static(const StaticOptions& options, SplitTexts splits);

}  // namespace fathom
