// SPDX-License-Identifier: Apache-2.0
// report.html of `fathom sweep`.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "report/html.h"
#include "results/settings_rows.h"
#include "results/sweep_report.h"

namespace fathom {
namespace {

constexpr size_t kShownExits = 4;  // beside fixed depth

// Exits (and policies from files), best score first.
std::vector<const PolicyResult*> ranked_exits(const SweptTask& task) {
  std::vector<const PolicyResult*> exits;
  for (const PolicyResult& r : task.policies)
    if (r.policy.find(':') != std::string::npos) exits.push_back(&r);
  std::ranges::stable_sort(exits, std::ranges::greater(),
                           [](const PolicyResult* r) { return r->score.elue.value; });
  return exits;
}

// The same policy has the same colour and shape in every figure of the page: fixed depth the first,
// the two baselines around it the last ones, exits those between, by their place in the sweep.
using Looks = std::map<std::string, size_t>;

Looks looks_of(const SweepResult& result) {
  Looks looks = {{"fixed", 0}, {"random", 6}, {"oracle", 7}};
  size_t n = 0;
  for (const SweptTask& task : result.tasks)
    for (const PolicyResult& r : task.policies)
      if (looks.try_emplace(r.policy, 1 + n % 5).second) ++n;
  return looks;
}

bool is_around(const PolicyResult& r) { return r.policy == "random" || r.policy == "oracle"; }

// Everything but fixed depth and the best exits stands back: a thin line without its interval.
Series series_of(const PolicyResult& r, const SweptTask& task, const Looks& looks) {
  const auto exits = ranked_exits(task);
  const bool front = r.policy == "fixed" || (!exits.empty() && exits.front() == &r);
  return {.name = r.policy,
          .points = {},
          .mark = Mark::kLine,
          .dashed = is_around(r),
          .look = looks.at(r.policy),
          .quiet = !front};
}

// What a figure can show at once: the best exits (their interval is the one that is filled), fixed
// depth, further exits, the two baselines around them.
std::vector<const PolicyResult*> shown(const SweptTask& task) {
  std::vector<const PolicyResult*> all;
  for (const PolicyResult* r : ranked_exits(task))
    if (all.size() < kShownExits) all.push_back(r);
  all.insert(all.begin() + (all.empty() ? 0 : 1), find_result(task.policies, "fixed"));
  for (const char* baseline : {"random", "oracle"})
    if (const PolicyResult* r = find_result(task.policies, baseline)) all.push_back(r);
  return all;
}

Point point_at(double x, const PointScore& p) {
  return {x, p.score.value, p.score.low, p.score.high, p.setting};
}

XyChart quality_by_flops(const SweptTask& task, const Looks& looks) {
  XyChart chart;
  chart.title = task.title + ": quality against FLOPs";
  chart.x = {.title = "FLOPs of an example", .unit = "FLOP"};
  chart.y.title = task.metric;
  for (const PolicyResult* r : shown(task)) {
    Series s = series_of(*r, task, looks);
    for (const PointScore& p : r->score.points) s.points.push_back(point_at(p.flops, p));
    std::ranges::sort(s.points, {}, &Point::x);
    chart.series.push_back(std::move(s));
  }
  return chart;
}

XyChart quality_by_time(const SweptTask& task, const Looks& looks, double PolicyTime::*seconds,
                        const char* title) {
  XyChart chart;
  chart.title = concat(task.title, ": quality against measured time, ", title);
  chart.x = {.title = "Time of an example", .unit = "s"};
  chart.y.title = task.metric;
  for (const PolicyResult* r : shown(task)) {
    if (r->times.empty()) continue;
    Series s = series_of(*r, task, looks);
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
                          true,
                          kNeutral});
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
      "The cheapest point of exits and of fixed depth that keeps this share of full depth's "
      "quality "
      "on calibration rows, chosen anew in each seed. FLOPs and losses are of the split that is "
      "reported, a loss below 0 is a gain; intervals resample examples and seeds.");
  if (const Table t = measure_table(task); !t.rows().empty())
    page.table(t,
               "Plain exits by every measure over the plain fixed curve, mean over seeds; above 0 "
               "they are "
               "better than fixed depth at the same FLOPs. Measures that coincide here count once.",
               true);
  if (const Table t = calibration_table(task); !t.rows().empty())
    page.table(
        t,
        "Expected calibration error of the heads of every layer, ten bins, mean over seeds; 0 is "
        "as sure as right.",
        true);
  if (const Table t = depth_table(task); !t.rows().empty())
    page.table(t,
               "How deep exits go that keep 99 %, by the length of the text and by the first layer "
               "whose answer is right; means over seeds.",
               true);
}

std::string rows_of(const SweptTask& task) {
  return fmt::format("{} of {} rows of {} {}", task.metric, task.n_evaluated, task.title,
                     task.split);
}

void add_figures(HtmlPage& page, const SweptTask& task, const Looks& looks) {
  const auto exits = ranked_exits(task);
  const std::string best = exits.empty() ? "" : exits.front()->policy;
  const std::string reading = concat(
      "Up and to the left is better. ",
      best.empty() ? ""
                   : concat("Shaded: the 95 % bootstrap interval of ", best,
                            ", the exits with the best score over the fixed curve. "),
      "Thin outline: that of fixed depth. Thin lines: the next best exits, and dashed the "
      "baselines "
      "around them, random exits and the oracle, which knows the answers; their intervals and all "
      "other policies are in results.csv.");
  page.figure(quality_by_flops(task, looks),
              concat(rows_of(task),
                     " at every operating point, against the mean FLOPs of an "
                     "example. ",
                     reading));
  if (!find_result(task.policies, "fixed")->times.empty()) {
    page.figure(quality_by_time(task, looks, &PolicyTime::packed_seconds, "packed batches"),
                concat(rows_of(task),
                       " against the time of an example, measured in packed batches "
                       "as embedding many texts runs them. ",
                       reading));
    page.figure(quality_by_time(task, looks, &PolicyTime::batch1_seconds, "one at a time"),
                concat(rows_of(task),
                       " against the time of an example that is alone in its batch, "
                       "as when a user waits for it. ",
                       reading));
  }
  if (!exits.empty())
    page.figure(
        exits_map(task, *exits.front()),
        fmt::format("Share of the {} rows of {} that leave at each layer, one row an "
                    "operating point of {}, the exits with the best score; the safest "
                    "threshold stands on top. A row adds up to 1; strong colours on the left "
                    "save most.",
                    task.n_evaluated, task.split, best));
  for (const PolicyResult& r : task.policies)
    if (!r.reliability.empty())
      page.figure(reliability_chart(task, r.reliability),
                  fmt::format("How often the heads of three layers are right on {} rows of {}, by "
                              "how sure they are: ten bins of the largest probability, after "
                              "temperature scaling. On the dashed line they are as sure as right; "
                              "below it they are too sure.",
                              task.n_evaluated, task.split));
}

void add_task(HtmlPage& page, const SweptTask& task, const Looks& looks) {
  page.section(task.title);
  page.paragraph(fmt::format("{} of {} rows of {}; heads on {} training rows, thresholds on {}.",
                             task.metric, task.n_evaluated, task.split, task.rows().heads,
                             task.rows().calibration));
  for (const std::string& note : task.notes) page.note(note);
  if (task.over_seeds) add_seeds(page, task);
  page.table(
      score_table(task),
      fmt::format(
          "Every policy on {}, the first seed. Over fixed curve: mean quality less that of fixed "
          "depth at the same FLOPs; above 0 the policy is better. x full, x best fixed: how many "
          "times fewer FLOPs than full depth, and than the best fixed layer, at the point that "
          "keeps "
          "99 % of its quality on calibration rows; loss %: what is lost there on this split, "
          "below "
          "0 a gain. Layer 0 (embedding) runs no block, so it has no such number.",
          rows_of(task)));
  if (const Table files = files_table(task); !files.rows().empty())
    page.table(
        files,
        "Policy files beside each other on the same rows, resampled together: above 0 the first is "
        "better.",
        true);
  add_figures(page, task, looks);
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
             "Mean over the tasks that have the policy, the first seed: quality over that of fixed "
             "depth at the same FLOPs, and how many times fewer FLOPs than full depth keep 99 % of "
             "its quality. Means over other tasks stand below a line and do not compare with those "
             "above.");
  page.table(answer_table(result),
             "The first seed: the measure and its operating point are chosen on calibration rows, "
             "as is the best fixed layer; figures are of the split that is reported.");
  page.table(
      cheaper_table(result),
      "The first seed: what keeps 99 % of full depth's quality on calibration rows at the "
      "least FLOPs, by exits and by fixed depth itself. Loss %: on the split that is reported; "
      "below 0 a gain.");
  if (const Table t = moved_table(result); !t.rows().empty())
    page.table(t,
               "Thresholds that keep 99 % on calibration rows of one task, used on another: means "
               "over seeds, losses with the smallest and the largest of them.",
               true);
}

}  // namespace

std::string to_html(const SweepResult& result) {
  HtmlPage page("Depth policies against fixed depth");
  const Looks looks = looks_of(result);
  add_summary(page, result);
  for (const std::string& line : result.missing) page.note(line);
  for (const SweptTask& task : result.tasks) add_task(page, task, looks);
  if (const Table routes = routing_table(result); !routes.rows().empty()) {
    page.section("Routing");
    page.table(
        routes,
        "Mean loss (1 - cosine with the reference layer) on texts held out when the route was "
        "fitted, with 95 % bootstrap intervals of the gain: over one mask for all texts, over "
        "20 random masks, over its own masks shuffled at random, and over the best of its masks "
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
  page.table(
      guarantee_table(result),
      "Random splits in which the loss is above delta, one row a task and policy. A rule that "
      "holds has at most as many violations as are allowed. Full depth: splits in which it "
      "chose to save nothing.");
  const Table times = times_table(result);
  if (!times.rows().empty()) {
    page.section("Predicted and measured");
    page.table(
        times,
        "Time and FLOPs of policies as shares of full depth, measured in turn with it on the same "
        "texts; over predicted: measured share over that of FLOPs, above 1 the clock saves "
        "less than FLOPs say.",
        true);
    page.table(latency_table(result),
               "Time of a call that answers so many examples at once, in turn with full depth. "
               "Energy of an example is what the processor's own counters say, where they can be "
               "read.",
               true);
  }
  page.section("How this was made");
  page.settings(settings_rows(to_json(result.settings)));
  page.command(result.command);
  page.footer("fathom " + result.version);
  return page.str();
}

}  // namespace fathom
