// SPDX-License-Identifier: Apache-2.0
#include "results/classified_file.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"

namespace fathom {

Table classified_table(const ClassifiedRows& rows, std::span<const Classified> classified) {
  std::vector<Column> columns = {{.name = "line", .title = "Line"}};
  const std::vector<std::string>* const given[] = {&rows.id, &rows.text, &rows.text2, &rows.truth};
  const Column names[] = {{.name = "id"},
                          {.name = "text", .title = "Text"},
                          {.name = "text2", .title = "Second text"},
                          {.name = "truth", .title = "Given"}};
  for (size_t c = 0; c < std::size(given); ++c)
    if (!given[c]->empty()) columns.push_back(names[c]);
  columns.push_back({.name = "label", .title = "Label"});
  columns.push_back({.name = "confidence", .title = "Confidence"});
  columns.push_back({.name = "exit_layer", .title = "Exit"});
  columns.push_back({.name = "flops_share", .title = "FLOPs share"});
  Table table(std::move(columns));
  for (size_t i = 0; i < classified.size(); ++i) {
    const Classified& one = classified[i];
    std::vector<Cell> row = {Cell(rows.line.at(i))};
    for (const auto* column : given)
      if (!column->empty()) row.emplace_back((*column)[i]);
    row.emplace_back(one.answer);
    row.push_back(std::isnan(one.confidence) ? Cell(missing) : Cell(one.confidence, fixed(3)));
    row.emplace_back(one.exit_layer);
    row.emplace_back(one.flops_share, fixed(3));
    table.add(std::move(row));
  }
  return table;
}

std::string summary_of(const ClassifiedRows& rows, std::span<const Classified> found,
                       size_t n_layer) {
  double layers = 0, flops = 0;
  size_t right = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    layers += static_cast<double>(found[i].exit_layer);
    flops += found[i].flops_share;
    right += !rows.truth.empty() && rows.truth[i] == found[i].answer;
  }
  const double n = static_cast<double>(found.size());
  std::string text =
      fmt::format("{} {}: layer {:.2f} of {} on average, {:.0f} % of the FLOPs", found.size(),
                  rows.text2.empty() ? "texts" : "pairs", layers / n, n_layer, 100 * flops / n);
  if (!rows.truth.empty() && rows.has_classes)
    text += fmt::format("; {} as given, accuracy {:.3f}", right, static_cast<double>(right) / n);
  return text;
}

void check_table_ending(const std::string& path) {
  if (!path.ends_with(".csv") && !path.ends_with(".jsonl"))
    throw UsageError(concat("-o: expected a file ending in .csv or .jsonl, got '", path, "'"));
}

std::string write_table(const Table& table, const std::string& path) {
  if (path.ends_with(".csv")) return to_csv(table);
  std::string lines;
  for (const OrderedJson& row : to_json(table)) lines += dump_json(row) + "\n";
  return lines;
}

}  // namespace fathom
