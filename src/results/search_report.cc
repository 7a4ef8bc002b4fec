// SPDX-License-Identifier: Apache-2.0
#include "results/search_report.h"

#include <utility>

namespace fathom {

Table found_table(const std::vector<std::string>& queries, const Sentences& texts,
                  const std::vector<std::vector<Found>>& found) {
  std::vector<Column> columns = {{.name = "query", .title = "Query"},
                                 {.name = "rank", .title = "Rank"},
                                 {.name = "score", .title = "Cosine"},
                                 {.name = "line", .title = "Line"}};
  if (!texts.id.empty()) columns.push_back({.name = "id"});
  columns.push_back({.name = "text", .title = "Text"});
  Table table(std::move(columns));
  for (size_t q = 0; q < queries.size(); ++q)
    for (size_t rank = 0; rank < found[q].size(); ++rank) {
      const Found& f = found[q][rank];
      std::vector<Cell> row = {queries[q], rank + 1, Cell(f.score, fixed(4)), texts.line[f.text]};
      if (!texts.id.empty()) row.emplace_back(texts.id[f.text]);
      row.emplace_back(texts.texts[f.text]);
      table.add(std::move(row));
    }
  return table;
}

}  // namespace fathom
