// SPDX-License-Identifier: Apache-2.0
#include "results/depth_log.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "encode/describe.h"
#include "report/table.h"

namespace fathom {

std::string trace_csv(std::span<const size_t> line, std::span<const DepthTrace> trace) {
  FATHOM_ASSERT(line.size() == trace.size());
  Table table({{.name = "line"},
               {.name = "exit_layer"},
               {.name = "time_mix"},
               {.name = "channel_mix"},
               {.name = "route"},
               {.name = "class"},
               {.name = "value"},
               {.name = "confidence"}});
  const auto number = [](float x) { return std::isnan(x) ? Cell(missing) : Cell(double{x}); };
  const auto index = [](int32_t i) { return i < 0 ? Cell(missing) : Cell(i); };
  for (size_t i = 0; i < trace.size(); ++i) {
    const DepthTrace& t = trace[i];
    table.add({Cell(line[i]), Cell(t.exit_layer), Cell(t.n_time_mix), Cell(t.n_channel_mix),
               index(t.route), index(t.predicted_class), number(t.predicted_value),
               number(t.confidence)});
  }
  return to_csv(table);
}

std::string summary_of(const DepthPolicy& policy, std::span<const DepthTrace> trace, size_t n_layer,
                       const PolicyFlops& flops) {
  const OrderedJson s = summarise(trace, n_layer);
  return fmt::format(
      "{}: layer {:.2f} of {} on average, {:.1f} % of the sublayers, {:.1f} % of the FLOPs of "
      "full depth",
      policy.name(), s["mean_exit_layer"].get<double>(), n_layer,
      100 * s["share_of_halves"].get<double>(), 100 * flops.share());
}

}  // namespace fathom
