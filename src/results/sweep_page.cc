// SPDX-License-Identifier: Apache-2.0
// report.html of `fathom sweep`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/html.h"
#include "results/sweep_report.h"

namespace fathom::cli {
namespace {

constexpr size_t kShownExits = 4;

double value_of(const OrderedJson& j) { return j.is_number() ? j.get<double>() : kMissing; }

// Exits (and policies from files), best score first.
std::vector<const OrderedJson*> ranked_exits(const SweptTask& task) {
  std::vector<const OrderedJson*> exits;
  for (const OrderedJson& r : task.results)
    if (r["policy"].get<std::string>().find(':') != std::string::npos) exits.push_back(&r);
  std::ranges::stable_sort(exits, std::ranges::greater(),
                           [](const OrderedJson* r) { return value_of((*r)["elue"]["value"]); });
  return exits;
}

// What a figure can show at once: fixed depth, the best exits, the two baselines around them.
std::vector<const OrderedJson*> shown(const SweptTask& task) {
  std::vector<const OrderedJson*> all = {find_result(task, "fixed")};
  for (const OrderedJson* r : ranked_exits(task))
    if (all.size() <= kShownExits) all.push_back(r);
  for (const char* baseline : {"random", "oracle"})
    if (const OrderedJson* r = find_result(task, baseline)) all.push_back(r);
  return all;
}

XyChart quality_by_flops(const SweptTask& task) {
  XyChart chart;
  chart.title = task.title + ": quality against FLOPs";
  chart.x = {.title = "FLOPs of an example", .unit = "FLOP"};
  chart.y.title = task.metric;
  for (const OrderedJson* r : shown(task)) {
    const std::string policy = (*r)["policy"];
    const bool baseline = policy == "random" || policy == "oracle";
    Series s{policy, {}, Mark::kLine, baseline};
    for (size_t i = 0; i < (*r)["points"].size(); ++i) {
      const OrderedJson& p = (*r)["points"][i];
      s.points.push_back({value_of(p["flops"]), value_of(p["score"]), value_of(p["low"]),
                          value_of(p["high"]), p["setting"]});
    }
    std::ranges::sort(s.points, {}, &Point::x);
    chart.series.push_back(std::move(s));
  }
  return chart;
}

XyChart quality_by_time(const SweptTask& task, const char* seconds, const char* title) {
  XyChart chart;
  chart.title = concat(task.title, ": quality against measured time, ", title);
  chart.x = {.title = "Time of an example", .unit = "s"};
  chart.y.title = task.metric;
  for (const OrderedJson* r : shown(task)) {
    if (!r->contains("times")) continue;
    Series s{(*r)["policy"], {}, Mark::kLine, false};
    for (const OrderedJson& t : (*r)["times"]) {
      const OrderedJson& p = (*r)["points"][t["point"].get<size_t>()];
      s.points.push_back({value_of(t[seconds]), value_of(p["score"]), value_of(p["low"]),
                          value_of(p["high"]), p["setting"]});
    }
    std::ranges::sort(s.points, {}, &Point::x);
    chart.series.push_back(std::move(s));
  }
  return chart;
}

HeatMap exits_map(const SweptTask& task, const OrderedJson& r) {
  HeatMap map;
  map.title = concat(task.title, ": where examples leave, ", r["policy"].get<std::string>());
  map.row_title = "Operating point";
  map.column_title = "Layer";
  map.value_title = "Share of examples";
  map.digits = 2;
  for (size_t l = 0; l < r["points"][0]["n_exit"].size(); ++l)
    map.columns.push_back(std::to_string(l));
  for (const OrderedJson& p : r["points"]) {
    map.rows.push_back(p["setting"]);
    std::vector<double>& row = map.values.emplace_back();
    for (const OrderedJson& n : p["n_exit"])
      row.push_back(n.get<double>() / static_cast<double>(task.n_evaluated));
  }
  return map;
}

XyChart reliability_chart(const SweptTask& task, const OrderedJson& bins, size_t n_layer) {
  XyChart chart;
  chart.title = task.title + ": calibration of the heads";
  chart.x = {.title = "Largest probability", .from = 0, .to = 1};
  chart.y = {.title = "Share that is right", .from = 0, .to = 1};
  for (size_t layer : {size_t{1}, n_layer / 2, n_layer}) {
    Series s{concat("layer ", layer), {}, Mark::kLine, false};
    for (const OrderedJson& bin : bins)
      if (bin["layer"] == layer)
        s.points.push_back({value_of(bin["confidence"]), value_of(bin["accuracy"]), kMissing,
                            kMissing, fmt::format("{} examples", bin["n"].get<size_t>())});
    if (layer > 0 && !s.points.empty()) chart.series.push_back(std::move(s));
  }
  chart.series.push_back({"as sure as right",
                          {{0, 0, kMissing, kMissing, {}}, {1, 1, kMissing, kMissing, {}}},
                          Mark::kCurve,
                          true});
  return chart;
}

void add_task(HtmlPage& page, const SweptTask& task, size_t n_layer) {
  page.section(task.title);
  page.paragraph(fmt::format("{} of {} rows of {}; heads on {} training rows, thresholds on {}.",
                             task.metric, task.n_evaluated, task.split, task.n_heads,
                             task.n_calibration));
  for (const std::string& note : task.notes) page.note(note);
  page.table(score_table(task),
             "Score over the fixed curve, and the speed-up that keeps 99 % of the quality of full "
             "depth or of the best fixed layer: chosen on calibration rows, figures of this split. "
             "Layer 0 (embedding) runs no block.");
  if (const Table files = files_table(task); !files.rows().empty())
    page.table(files, "Policy files beside each other, resampled together.", true);
  page.figure(quality_by_flops(task),
              "95 % bootstrap intervals. Fixed depth, the exits with the best scores (all are in "
              "results.csv), random exits and the oracle.");
  const OrderedJson* fixed = find_result(task, "fixed");
  if (fixed && fixed->contains("times")) {
    page.figure(quality_by_time(task, "packed_seconds", "packed"), "Packed batches.");
    page.figure(quality_by_time(task, "batch1_seconds", "batch 1"), "One example at a time.");
  }
  if (const auto exits = ranked_exits(task); !exits.empty())
    page.figure(exits_map(task, *exits.front()), "The exit policy with the best score.");
  for (const OrderedJson& r : task.results)
    if (r.contains("reliability"))
      page.figure(reliability_chart(task, r["reliability"], n_layer),
                  "Ten bins of the largest probability, after temperature scaling.");
}

}  // namespace

std::string to_html(const SweepReport& report) {
  HtmlPage page("Depth policies against fixed depth");
  page.lead(
      "Does leaving early where the model is sure beat the best fixed depth? Quality, cost and "
      "time "
      "of every policy, task by task.");
  page.section("All tasks");
  page.table(macro_table(report), "Mean over the tasks that have the policy.");
  page.table(answer_table(report),
             "The measure and its operating point are chosen on calibration rows, as is the best "
             "fixed layer; figures are of the split that is reported.");
  for (const std::string& line : report.missing) page.note(line);
  for (const SweptTask& task : report.tasks) add_task(page, task, report.n_layer);
  if (const Table routes = routing_table(report); !routes.rows().empty()) {
    page.section("Routing");
    page.table(
        routes,
        "Mean loss (1 - cosine with the reference layer) on texts held out when the route was "
        "fitted, with 95 % bootstrap intervals of the gain: over one mask for all texts, over "
        "20 random masks, over its own masks dealt by chance, and over the best of its masks "
        "for every text, which no router beats.");
  }
  page.section("The guarantee over random splits");
  page.paragraph(
      "Learn-then-Test at delta 0.05, epsilon 0.05: splits in which the risk is above delta, over "
      "all rows together (the population that is sampled) and on the test half alone. The naive "
      "rule takes the boldest threshold with a mean loss of at most delta.");
  page.table(guarantee_table(report), "Violations.");
  const Table times = times_table(report);
  if (!times.rows().empty()) {
    page.section("Predicted and measured");
    page.table(times, "Shares of full depth, in turn with it on the same texts.", true);
  }
  std::vector<std::pair<std::string, std::string>> settings;
  for (const auto& [name, value] : report.settings.items())
    settings.emplace_back(name, value.is_string() ? value.get<std::string>() : dump_json(value));
  page.section("How this was made");
  page.settings(settings);
  page.command(report.command);
  page.footer("fathom " FATHOM_VERSION);
  return page.str();
}

}  // namespace fathom::cli
