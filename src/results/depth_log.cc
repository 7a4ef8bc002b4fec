// SPDX-License-Identifier: Apache-2.0
#include "results/depth_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "encode/describe.h"
#include "report/table.h"

namespace fathom {

std::string trace_csv(std::span<const size_t> line, std::span<const DepthTrace> trace,
                      std::span<const std::string> file) {
  FATHOM_ASSERT(line.size() == trace.size());
  std::vector<Column> columns;
  if (!file.empty()) columns.push_back({.name = "file"});
  for (const char* name :
       {"line", "exit_layer", "time_mix", "channel_mix", "route", "class", "value", "confidence"})
    columns.push_back({.name = name});
  Table table(columns);
  const auto number = [](float x) { return std::isnan(x) ? Cell(missing) : Cell(double{x}); };
  const auto index = [](int32_t i) { return i < 0 ? Cell(missing) : Cell(i); };
  for (size_t i = 0; i < trace.size(); ++i) {
    const DepthTrace& t = trace[i];
    std::vector<Cell> row;
    if (!file.empty()) row.emplace_back(file[i]);
    row.insert(row.end(), {Cell(line[i]), Cell(t.exit_layer), Cell(t.n_time_mix),
                           Cell(t.n_channel_mix), index(t.route), index(t.predicted_class),
                           number(t.predicted_value), number(t.confidence)});
    table.add(std::move(row));
  }
  return to_csv(table);
}

std::string summary_of(const DepthPolicy& policy, const ExitCounts& exits, size_t n_layer,
                       const PolicyFlops& flops) {
  const OrderedJson s = summarise(exits, n_layer);
  return fmt::format(
      "{}: layer {:.2f} of {} on average, {:.1f} % of the sublayers, {:.1f} % of the FLOPs of "
      "full depth",
      policy.name(), s["mean_exit_layer"].get<double>(), n_layer,
      100 * s["share_of_halves"].get<double>(), 100 * flops.share());
}

std::string exits_of(const ExitCounts& exits) {
  std::string text = "exits:";
  const double n = static_cast<double>(std::max<size_t>(exits.n_text, 1));
  for (size_t l = 0; l < exits.by_layer.size(); ++l)
    if (exits.by_layer[l] > 0)
      text += fmt::format("{} layer {} {:.1f} %", text.ends_with(':') ? "" : ",", l,
                          100 * static_cast<double>(exits.by_layer[l]) / n);
  return text;
}

}  // namespace fathom
