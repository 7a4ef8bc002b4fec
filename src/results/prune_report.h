// SPDX-License-Identifier: Apache-2.0
// What pruning found, for people and for programs.
#pragma once

#include <string>

#include "base/json.h"
#include "report/table.h"
#include "results/closing.h"
#include "study/prune.h"
#include "study/prune_heal.h"

namespace fathom {

// One row a step of the search.
Table steps_table(const PruneResult& result);
// The mask beside the whole model, truncation and random masks.
Table comparison_table(const PruneResult& result);
// Both tables and what they rest on. output: what the policy file is called.
std::string to_text(const PruneResult& result, const MaskCorpus& corpus, const std::string& output);
OrderedJson to_json(const PruneResult& result, const MaskCorpus& corpus, const std::string& output);

Closing closing_of(const PruneResult& result, const MaskCorpus& corpus,
                   const CommandPlaces& places);
// Of a model that was tuned under a mask.
Closing closing_of(const HealedFigures& figures, const BlockMask& mask, double flops_share,
                   const CommandPlaces& places);

// What tuning gave back, one line.
std::string to_text(const HealedFigures& figures);

}  // namespace fathom
