// SPDX-License-Identifier: Apache-2.0
// What a route found, for people and for programs.
#pragma once

#include <string>

#include "base/json.h"
#include "report/table.h"
#include "results/closing.h"
#include "study/route.h"

namespace fathom {

// One row a mask.
Table mask_table(const RouteResult& result);
// The route beside one mask for all and other controls.
Table comparison_table(const RouteResult& result);
// Both tables and what they rest on. output: what the policy file is called.
std::string to_text(const RouteResult& result, const MaskCorpus& corpus, const std::string& output);
Closing closing_of(const RouteResult& result, const MaskCorpus& corpus,
                   const CommandPlaces& places);
OrderedJson to_json(const RouteResult& result, const MaskCorpus& corpus, const std::string& output);

}  // namespace fathom
