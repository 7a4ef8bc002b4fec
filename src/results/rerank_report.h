// SPDX-License-Identifier: Apache-2.0
// Documents in the order in which they answer each query: as tables, JSON lines, and how it was done.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "encode/open_model.h"
#include "encode/reranker.h"
#include "text/sentences.h"

namespace fathom {

// Views of what was asked and found.
struct Reranked {
  const std::vector<std::string>& queries;
  const Sentences& documents;
  std::span<const float> scores;  // (n_query, n_document)
  size_t top = 0;                 // documents to show for a query; 0: all
};

// Best first, of equal scores the earlier document; a line each: query, index (from 0), score, text.
std::string to_jsonl(const Reranked& found);
// A table a query.
std::string to_text(const Reranked& found);
// What was asked of which models.
OrderedJson describe(const Reranked& found, const OpenModel& open, const Reranker& reranker,
                     const RerankPrompt& prompt, const std::string& command);

}  // namespace fathom
