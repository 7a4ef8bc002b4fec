// SPDX-License-Identifier: Apache-2.0
#include "results/rerank_report.h"

#include <algorithm>
#include <numeric>

#include "encode/describe.h"
#include "report/table.h"

namespace fathom {
namespace {

// Documents of one query, best first; of equal scores the earlier.
std::vector<size_t> ranking(std::span<const float> scores, size_t top) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  if (top > 0 && top < order.size()) order.resize(top);
  return order;
}

// Calls row(query, document, score) for what is shown, best first, query after query.
template <class Row>
void for_each_result(const Reranked& found, const Row& row) {
  const size_t n = found.documents.texts.size();
  for (size_t q = 0; q < found.queries.size(); ++q) {
    const auto of_query = found.scores.subspan(q * n, n);
    for (size_t i : ranking(of_query, found.top)) row(q, i, of_query[i]);
  }
}

}  // namespace

std::string to_jsonl(const Reranked& found) {
  std::string lines;
  for_each_result(found, [&](size_t q, size_t i, float score) {
    const OrderedJson line{{"query", found.queries[q]},
                           {"index", found.documents.line[i] - 1},
                           {"score", score},
                           {"text", found.documents.texts[i]}};
    // Texts are bytes: what is not UTF-8 is replaced here, not in what the model read.
    lines += dump_json(line) + "\n";
  });
  return lines;
}

std::string to_text(const Reranked& found) {
  const Table empty({{.name = "rank", .title = "Rank"},
                     {.name = "index", .title = "Index"},
                     {.name = "score", .title = "Score"},
                     {.name = "text", .title = "Document"}});
  std::vector<Table> tables(found.queries.size(), empty);
  for_each_result(found, [&](size_t q, size_t i, float score) {
    tables[q].add({tables[q].rows().size() + 1, found.documents.line[i] - 1, Cell(score, fixed(4)),
                   found.documents.texts[i]});
  });
  std::string text;
  for (size_t q = 0; q < tables.size(); ++q)
    text += found.queries[q] + "\n" + to_text(tables[q]) + "\n";
  return text;
}

OrderedJson describe(const Reranked& found, const OpenModel& open, const Reranker& reranker,
                     const RerankPrompt& prompt, const std::string& command) {
  OrderedJson j;
  j["fathom"] = FATHOM_VERSION;
  j["command"] = command;
  j["model"] = describe(open.model);
  j["tokenizer"] = open.vocabulary.source;
  j["reranker"] = describe(reranker.model());
  j["reranker"]["backbone_blocks"] =
      std::vector<size_t>(reranker.layers().begin(), reranker.layers().end());
  j["prompt"] = prompt.document("{document}") + prompt.query("{query}");
  j["n_query"] = found.queries.size();
  j["n_document"] = found.documents.texts.size();
  return j;
}

}  // namespace fathom
