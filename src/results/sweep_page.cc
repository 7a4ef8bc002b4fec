// SPDX-License-Identifier: Apache-2.0
// report.html of `fathom sweep`.
#include <fmt/format.h>

#include <algorithm>

#include "report/html.h"
#include "results/sweep_report.h"

namespace fathom {
namespace {

constexpr size_t kShownExits = 4;

// Exits (and policies from files), best score first.
std::vector<const PolicyResult*> ranked_exits(const SweptTask& task) {
  std::vector<const PolicyResult*> exits;
  for (const PolicyResult& r : task.policies)
    if (r.policy.find(':') != std::string::npos) exits.push_back(&r);
  std::ranges::stable_sort(exits, std::ranges::greater(),
                           [](const PolicyResult* r) { return r->score.elue.value; });
  return exits;
}

// What a figure can show at once: fixed depth, the best exits, the two baselines around them.
std::vector<const PolicyResult*> shown(const SweptTask& task) {
  std::vector<const PolicyResult*> all = {find_result(task.policies, "fixed")};
  for (const PolicyResult* r : ranked_exits(task))
    if (all.size() <= kShownExits) all.push_back(r);
  for (const char* baseline : {"random", "oracle"})
    if (const PolicyResult* r = find_result(task.policies, baseline)) all.push_back(r);
  return all;
}

Point point_at(double x, const PointScore& p) {
  return {x, p.score.value, p.score.low, p.score.high, p.setting};
}

XyChart quality_by_flops(const SweptTask& task) {
  XyChart chart;
  chart.title = task.title + ": quality against FLOPs";
  chart.x = {.title = "FLOPs of an example", .unit = "FLOP"};
  chart.y.title = task.metric;
  for (const PolicyResult* r : shown(task)) {
    const bool baseline = r->policy == "random" || r->policy == "oracle";
    Series s{r->policy, {}, Mark::kLine, baseline};
    for (const PointScore& p : r->score.points) s.points.push_back(point_at(p.flops, p));
    std::ranges::sort(s.points, {}, &Point::x);
    chart.series.push_back(std::move(s));
  }
  return chart;
}

XyChart quality_by_time(const SweptTask& task, double PolicyTime::*seconds, const char* title) {
  XyChart chart;
  chart.title = concat(task.title, ": quality against measured time, ", title);
  chart.x = {.title = "Time of an example", .unit = "s"};
  chart.y.title = task.metric;
  for (const PolicyResult* r : shown(task)) {
    if (r->times.empty()) continue;
    Series s{r->policy, {}, Mark::kLine, false};
    for (const SweptTime& t : r->times)
      s.points.push_back(point_at(t.measured.time.*seconds, r->score.points[t.point]));
    std::ranges::sort(s.points, {}, &Point::x);
    chart.series.push_back(std::move(s));
  }
  return chart;
}

HeatMap exits_map(const SweptTask& task, const PolicyResult& r) {
  HeatMap map;
  map.title = concat(task.title, ": where examples leave, ", r.policy);
  map.row_title = "Operating point";
  map.column_title = "Layer";
  map.value_title = "Share of examples";
  map.digits = 2;
  for (size_t l = 0; l < r.score.points.front().n_exit.size(); ++l)
    map.columns.push_back(std::to_string(l));
  for (const PointScore& p : r.score.points) {
    map.rows.push_back(p.setting);
    std::vector<double>& row = map.values.emplace_back();
    for (size_t n : p.n_exit)
      row.push_back(static_cast<double>(n) / static_cast<double>(task.n_evaluated));
  }
  return map;
}

XyChart reliability_chart(const SweptTask& task, std::span<const ReliabilityBin> bins) {
  XyChart chart;
  chart.title = task.title + ": calibration of the heads";
  chart.x = {.title = "Largest probability", .from = 0, .to = 1};
  chart.y = {.title = "Share that is right", .from = 0, .to = 1};
  for (size_t layer : {size_t{1}, task.n_layer() / 2, task.n_layer()}) {
    Series s{concat("layer ", layer), {}, Mark::kLine, false};
    for (const ReliabilityBin& bin : bins)
      if (bin.layer == layer)
        s.points.push_back(
            {bin.confidence, bin.accuracy, kMissing, kMissing, fmt::format("{} examples", bin.n)});
    if (layer > 0 && !s.points.empty()) chart.series.push_back(std::move(s));
  }
  chart.series.push_back({"as sure as right",
                          {{0, 0, kMissing, kMissing, {}}, {1, 1, kMissing, kMissing, {}}},
                          Mark::kCurve,
                          true});
  return chart;
}

void add_seeds(HtmlPage& page, const SweptTask& task) {
  if (const std::string line = headline_of(task); !line.empty()) page.paragraph(line);
  page.table(baseline_table(task),
             "Fixed depth with every kind of head, the strongest set off, and exits less it: mean "
             "quality at costs even from layer 1 to L. All rows: heads refitted on the rows for "
             "heads, tune and calibration. Envelope: for every budget the layer that is best on "
             "calibration rows. Ensemble: the mean of the heads of all layers passed. Intervals "
             "resample examples and seeds.");
  page.table(
      kept_table(task),
      "The cheapest point that keeps this share of full depth's quality on calibration rows, "
      "chosen anew in each seed.");
  if (const Table t = measure_table(task); !t.rows().empty())
    page.table(t, "Measures with plain heads; those that coincide here count once.", true);
  if (const Table t = calibration_table(task); !t.rows().empty())
    page.table(t, "Expected calibration error of every layer, ten bins; mean over seeds.", true);
  if (const Table t = depth_table(task); !t.rows().empty())
    page.table(t,
               "How deep exits go that keep 99 %, by the length of the text and by the first layer "
               "whose answer is right; means over seeds.",
               true);
}

void add_task(HtmlPage& page, const SweptTask& task) {
  page.section(task.title);
  page.paragraph(fmt::format("{} of {} rows of {}; heads on {} training rows, thresholds on {}.",
                             task.metric, task.n_evaluated, task.split, task.rows().heads,
                             task.rows().calibration));
  for (const std::string& note : task.notes) page.note(note);
  if (task.over_seeds) add_seeds(page, task);
  page.table(
      score_table(task),
      "The first seed: score over the fixed curve, and the speed-up that keeps 99 % of the "
      "quality of full depth or of the best fixed layer: chosen on calibration rows, figures "
      "of this split. Layer 0 (embedding) runs no block, so it has no such number.");
  if (const Table files = files_table(task); !files.rows().empty())
    page.table(files, "Policy files beside each other, resampled together.", true);
  page.figure(quality_by_flops(task),
              "95 % bootstrap intervals. Fixed depth, the exits with the best scores (all are in "
              "results.csv), random exits and the oracle.");
  if (!find_result(task.policies, "fixed")->times.empty()) {
    page.figure(quality_by_time(task, &PolicyTime::packed_seconds, "packed"), "Packed batches.");
    page.figure(quality_by_time(task, &PolicyTime::batch1_seconds, "batch 1"),
                "One example at a time.");
  }
  if (const auto exits = ranked_exits(task); !exits.empty())
    page.figure(exits_map(task, *exits.front()), "The exit policy with the best score.");
  for (const PolicyResult& r : task.policies)
    if (!r.reliability.empty())
      page.figure(reliability_chart(task, r.reliability),
                  "Ten bins of the largest probability, after temperature scaling.");
}

// What all tasks say, the strongest baseline first.
void add_summary(HtmlPage& page, const SweepResult& result) {
  std::string lead;
  for (const SweptTask& task : result.tasks) lead += headline_of(task) + ' ';
  lead +=
      "Does leaving early where the model is sure beat the best fixed depth? Quality, cost and "
      "time of every policy, task by task.";
  page.lead(lead);
  page.section("All tasks");
  if (const Table t = strongest_table(result); !t.rows().empty())
    page.table(t,
               "Exits (heads and measure chosen on calibration rows in each seed) against the "
               "strongest fixed depth, and plain exits against it and against plain fixed depth.");
  page.table(mean_table(result),
             "Mean over the tasks that have the policy, the first seed; means over other tasks "
             "stand below a line and do not compare with those above.");
  page.table(answer_table(result),
             "The first seed: the measure and its operating point are chosen on calibration rows, "
             "as is the best fixed layer; figures are of the split that is reported.");
  page.table(cheaper_table(result),
             "The first seed: what keeps 99 % of full depth's quality on calibration rows at the "
             "least FLOPs, by exits and by fixed depth itself.");
  if (const Table t = moved_table(result); !t.rows().empty())
    page.table(t,
               "Thresholds that keep 99 % on calibration rows of one task, used on another: means "
               "over seeds, losses with the smallest and the largest of them.",
               true);
}

}  // namespace

std::string to_html(const SweepResult& result) {
  HtmlPage page("Depth policies against fixed depth");
  add_summary(page, result);
  for (const std::string& line : result.missing) page.note(line);
  for (const SweptTask& task : result.tasks) add_task(page, task);
  if (const Table routes = routing_table(result); !routes.rows().empty()) {
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
      "all rows together (the population that is sampled, so that few of a right rule's splits "
      "are violated) and on the test half alone. At the boundary, calibration rows are drawn 4,000 "
      "times from a population without end whose risk lies just above delta. The naive rule takes "
      "the boldest threshold with a mean loss of at most delta. It all holds for rows that are "
      "drawn alike.");
  page.table(guarantee_table(result), "Violations.");
  const Table times = times_table(result);
  if (!times.rows().empty()) {
    page.section("Predicted and measured");
    page.table(times, "Shares of full depth, in turn with it on the same texts.", true);
    page.table(latency_table(result),
               "Time of a call that answers so many examples at once, in turn with full depth. "
               "Energy of an example is what the processor's own counters say, where they can be "
               "read.",
               true);
  }
  std::vector<std::pair<std::string, std::string>> settings;
  const OrderedJson all = to_json(result.settings);
  for (const auto& [name, value] : all.items())
    settings.emplace_back(name, value.is_string() ? value.get<std::string>() : dump_json(value));
  page.section("How this was made");
  page.settings(settings);
  page.command(result.command);
  page.footer("fathom " + result.version);
  return page.str();
}

}  // namespace fathom
