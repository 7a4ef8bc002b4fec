// SPDX-License-Identifier: Apache-2.0
// What `fathom search` found, as a table.
#pragma once

#include <string>
#include <vector>

#include "report/table.h"
#include "study/nearest.h"
#include "text/sentences.h"

namespace fathom {

// query, rank (from 1), score (cosine), line, id where the texts have one, text. found: (n_query).
Table found_table(const std::vector<std::string>& queries, const Sentences& texts,
                  const std::vector<std::vector<Found>>& found);

}  // namespace fathom
