// SPDX-License-Identifier: Apache-2.0
// What an evaluation says about layers, in words.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "encode/encoder.h"
#include "study/evaluate.h"

namespace fathom {

// A sentence each: the best layer, the shallowest that is not worse, what it saves, the command that
// uses it. Empty without a verdict.
std::vector<std::string> verdict_words(const EvalResult& result);
// The command of verdict_words() alone.
std::string verdict_command(const EvalResult& result);
OrderedJson verdict_json(const EvalResult& result);

// What fathom.json holds: the best layer, read like this. The result must have a verdict.
OrderedJson recommendation_json(const EvalResult& result, const EncodeOptions& how);

// A baseline as people call it: word vectors after their file, "words-50d", whoever made them.
std::string label_of(const EvalBaseline& baseline);

// "spearman" as people call it: "Spearman".
std::string metric_title(std::string_view metric);

}  // namespace fathom
