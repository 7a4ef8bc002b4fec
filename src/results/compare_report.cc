// SPDX-License-Identifier: Apache-2.0
#include "results/compare_report.h"

#include <fmt/format.h>

#include "depth/layers.h"
#include "report/html.h"
#include "results/eval_report.h"
#include "results/eval_verdict.h"

namespace fathom {
namespace {

Cell figure_cell(const LayerFigure& figure) {
  return Cell(figure.value, fixed(4)).between(figure.low, figure.high);
}

// Of the best layers: who is ahead, if anybody is.
std::string words_of(const Comparison& c, const ComparedSides& sides) {
  const ComparedLayers& best = c.lines.front();
  const std::string at = fmt::format(
      "{:+.4f} [{:+.4f}, {:+.4f}] {} at the best layer of each ({} and {})", best.difference,
      best.low, best.high, metric_title(c.metric), layer_name(best.a.layer, sides.n_layer_a),
      layer_name(best.b.layer, sides.n_layer_b));
  if (best.low > 0 || best.high < 0)
    return fmt::format("{} is better than {}: the second has {}.", best.low > 0 ? sides.b : sides.a,
                       best.low > 0 ? sides.a : sides.b, at);
  return fmt::format("No difference that {} rows can show: {} has {}.", c.n_row, sides.b, at);
}

XyChart chart_of(const Comparison& c, const ComparedSides& sides) {
  XyChart chart;
  chart.title = metric_title(c.metric) + " by depth";
  chart.x.title = "Layer";
  chart.y.title = metric_title(c.metric);
  Series a{sides.a, {}, Mark::kLine, false}, b{sides.b, {}, Mark::kLine, false};
  for (size_t i = 2; i < c.lines.size(); ++i) {
    const ComparedLayers& line = c.lines[i];
    chart.categories.push_back(layer_name(line.a.layer, sides.n_layer_a));
    a.points.push_back({kMissing, line.a.value, line.a.low, line.a.high, {}});
    b.points.push_back({kMissing, line.b.value, line.b.low, line.b.high, {}});
  }
  chart.series = {std::move(a), std::move(b)};
  return chart;
}

std::string page_of(std::span<const Comparison> comparisons, const ComparedSides& sides) {
  HtmlPage page(fmt::format("{} and {}", sides.a, sides.b));
  page.lead(
      fmt::format("A is {}, B is {}. Differences are B minus A, paired: the same bootstrap "
                  "resamples of rows for both, 95 %.",
                  sides.a, sides.b));
  for (const Comparison& c : comparisons) {
    page.section(fmt::format("{} {}", c.title, c.split));
    page.note(words_of(c, sides));
    if (c.lines.size() > 3)
      page.figure(chart_of(c, sides),
                  fmt::format("{} on {} rows of {} {} at every layer that both have. Shaded: the "
                              "95 % interval of A; thin outline: that of B. Rows are the same, so "
                              "the paired differences below say more than the intervals.",
                              metric_title(c.metric), c.n_row, c.title, c.split));
    page.table(comparison_table(c, sides),
               "The best layer of each, the deepest, and all they share, with 95 % bootstrap "
               "intervals. B - A: paired, on the same resamples of rows; above 0 B is better, and "
               "where the interval holds 0 they cannot be told apart. GFLOP: arithmetic of a row.");
  }
  page.section("How it was made");
  page.command(sides.command);
  page.footer(fmt::format("fathom {}", FATHOM_VERSION));
  return page.str();
}

}  // namespace

Table comparison_table(const Comparison& c, const ComparedSides& sides) {
  const std::string metric = metric_title(c.metric);
  Table table({{.name = "what", .title = "What"},
               {.name = "layer_a", .title = "A"},
               {.name = "value_a", .title = metric + " of A"},
               {.name = "layer_b", .title = "B"},
               {.name = "value_b", .title = metric + " of B"},
               {.name = "difference", .title = "B - A [95 %]"},
               {.name = "p", .title = "p"},
               {.name = "gflop_a", .title = "GFLOP A"},
               {.name = "gflop_b", .title = "GFLOP B"}});
  for (size_t i = 0; i < c.lines.size(); ++i) {
    const ComparedLayers& line = c.lines[i];
    if (i == 2) table.add_rule();
    table.add({line.what, layer_name(line.a.layer, sides.n_layer_a), figure_cell(line.a),
               layer_name(line.b.layer, sides.n_layer_b), figure_cell(line.b),
               Cell(line.difference, fixed(4)).between(line.low, line.high),
               p_cell(line.p, c.n_resample), Cell(line.flops_a / 1e9, significant(3)),
               Cell(line.flops_b / 1e9, significant(3))});
  }
  return table;
}

std::string to_text(const Comparison& c, const ComparedSides& sides) {
  return fmt::format("{} {}: {} rows; A = {}, B = {}\n{}{}\n", c.title, c.split, c.n_row, sides.a,
                     sides.b, to_text(comparison_table(c, sides), 140), words_of(c, sides));
}

void expect_comparison(OutputSet& outputs, const std::filesystem::path& directory) {
  outputs.expect_in(directory, {"results.json", "results.csv", "report.html"});
}

void write_comparison(std::span<const Comparison> comparisons, const ComparedSides& sides,
                      const std::filesystem::path& directory, OutputSet& outputs) {
  OrderedJson j{{"command", sides.command},
                {"fathom", FATHOM_VERSION},
                {"a", {{"name", sides.a}, {"settings", sides.settings_a}}},
                {"b", {{"name", sides.b}, {"settings", sides.settings_b}}},
                {"tasks", OrderedJson::array()}};
  std::string csv;
  for (const Comparison& c : comparisons) {
    const Table table = comparison_table(c, sides);
    j["tasks"].push_back({{"task", c.task},
                          {"split", c.split},
                          {"metric", c.metric},
                          {"n", c.n_row},
                          {"lines", to_json(table)}});
    std::string rows = to_csv(table);
    size_t begin = 0;
    while (begin < rows.size()) {
      const size_t end = rows.find('\n', begin);
      const bool header = begin == 0;
      if (!header || csv.empty())
        csv +=
            (header ? std::string("task") : c.task) + "," + rows.substr(begin, end - begin) + "\n";
      begin = end + 1;
    }
  }
  outputs.write(directory / "results.json", dump_json(j, 1) + "\n");
  outputs.write(directory / "results.csv", csv);
  outputs.write(directory / "report.html", page_of(comparisons, sides));
  outputs.commit();
}

}  // namespace fathom
