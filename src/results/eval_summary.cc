// SPDX-License-Identifier: Apache-2.0
#include "results/eval_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "depth/layers.h"
#include "report/html.h"
#include "results/eval_report.h"
#include "results/eval_verdict.h"
#include "study/estimate_json.h"

namespace fathom {
namespace {

// A column of the table: a layer of the model, or a baseline.
struct SystemColumn {
  std::string system, title;
  std::optional<size_t> layer;
};

double lead_of(const EvalResult& r, const SystemColumn& column) {
  for (const MetricRow& row : r.rows)
    if (row.metric == r.lead && row.system == column.system && row.layer == column.layer)
      return row.value;
  return kMissing;
}

// Layers of all reports from shallow to deep, then the baselines.
std::vector<SystemColumn> columns_of(std::span<const EvalResult> reports) {
  std::vector<SystemColumn> columns;
  const auto add = [&](SystemColumn column) {
    const auto same = [&](const SystemColumn& c) {
      return c.system == column.system && c.layer == column.layer;
    };
    if (std::ranges::none_of(columns, same)) columns.push_back(std::move(column));
  };
  for (const EvalResult& r : reports)
    for (const MetricRow& row : r.rows)
      if (row.layer) add({row.system, layer_name(*row.layer, r.n_layer), row.layer});
  std::ranges::stable_sort(columns, {}, [](const SystemColumn& c) { return *c.layer; });
  for (const EvalResult& r : reports)
    for (const EvalBaseline& b : r.baselines) add({b.system, b.title, std::nullopt});
  return columns;
}

// Metrics that lead two tasks or more: means over different ones would say nothing.
std::vector<std::string> shared_metrics(std::span<const EvalResult> reports) {
  std::vector<std::string> seen, shared;
  for (const EvalResult& r : reports) {
    const bool again = std::ranges::find(seen, r.lead) != seen.end();
    seen.push_back(r.lead);
    if (again && std::ranges::find(shared, r.lead) == shared.end()) shared.push_back(r.lead);
  }
  return shared;
}

struct MeanOverTasks {
  size_t n_task = 0;
  double value = kMissing;  // missing where a task has no figure
};

MeanOverTasks mean_of(std::span<const EvalResult> reports, const std::string& metric,
                      const SystemColumn& column) {
  MeanOverTasks mean;
  double sum = 0;
  for (const EvalResult& r : reports) {
    if (r.lead != metric) continue;
    ++mean.n_task;
    sum += lead_of(r, column);
  }
  if (mean.n_task > 0) mean.value = sum / static_cast<double>(mean.n_task);
  return mean;
}

// Of the layers alone; nullopt: none has a figure.
std::optional<size_t> best_of(const std::vector<SystemColumn>& columns,
                              const std::vector<double>& values) {
  std::optional<size_t> best;
  for (size_t i = 0; i < columns.size(); ++i)
    if (columns[i].layer && std::isfinite(values[i]) && (!best || values[i] > values[*best]))
      best = i;
  return best;
}

void add_values(const std::vector<SystemColumn>& columns, const std::vector<double>& values,
                std::vector<Cell>& row) {
  const std::optional<size_t> best = best_of(columns, values);
  for (size_t i = 0; i < values.size(); ++i)
    row.push_back(std::isfinite(values[i]) ? Cell(values[i], fixed(3)).emphasised(best == i)
                                           : Cell(missing));
}

HeatMap heat_of(std::span<const EvalResult> reports, const std::vector<SystemColumn>& columns) {
  HeatMap heat;
  heat.title = "The leading metric by layer and task";
  heat.row_title = "Layer";
  heat.column_title = "Task";
  heat.value_title = "leading metric";
  heat.by_column = true;
  for (const EvalResult& r : reports) heat.columns.push_back(r.title);
  for (const SystemColumn& column : columns) {
    heat.rows.push_back(column.title);
    std::vector<double>& values = heat.values.emplace_back();
    for (const EvalResult& r : reports) values.push_back(lead_of(r, column));
  }
  return heat;
}

Table verdicts_table(std::span<const EvalResult> reports) {
  Table t({{.name = "task", .title = "Task"},
           {.name = "best", .title = "Best layer"},
           {.name = "value", .title = "its figure [95 %]"},
           {.name = "shallowest", .title = "Shallowest that is not worse"},
           {.name = "flops", .title = "its FLOPs"},
           {.name = "chosen_on", .title = "Chosen on"}});
  for (const EvalResult& r : reports) {
    if (!r.verdict) continue;
    const LayerVerdict& v = *r.verdict;
    t.add({r.title, layer_name(v.best.layer, r.n_layer),
           Cell(v.best.value, fixed(4)).between(v.best.low, v.best.high),
           layer_name(v.shallowest.layer, r.n_layer),
           fmt::format("{:.0f} %", 100 * v.shallowest.flops_share), v.chosen_on});
  }
  return t;
}

std::vector<KeyFigure> mean_figures(std::span<const EvalResult> reports,
                                    const std::vector<SystemColumn>& columns) {
  std::vector<KeyFigure> figures = {
      {"Tasks", std::to_string(reports.size()), "with a report of their own each"}};
  for (const std::string& metric : shared_metrics(reports)) {
    std::vector<double> means;
    for (const SystemColumn& column : columns)
      means.push_back(mean_of(reports, metric, column).value);
    const std::optional<size_t> best = best_of(columns, means);
    if (!best) continue;
    figures.push_back({fmt::format("Best layer by mean {}", metric_title(metric)),
                       columns[*best].title,
                       fmt::format("{:.4f} over {} tasks, chosen on these figures", means[*best],
                                   mean_of(reports, metric, columns[*best]).n_task)});
  }
  return figures;
}

OrderedJson means_json(std::span<const EvalResult> reports) {
  OrderedJson means = OrderedJson::array();
  const std::vector<SystemColumn> columns = columns_of(reports);
  for (const std::string& metric : shared_metrics(reports))
    for (const SystemColumn& column : columns) {
      const MeanOverTasks mean = mean_of(reports, metric, column);
      means.push_back({{"metric", metric},
                       {"system", column.system},
                       {"layer", column.layer ? OrderedJson(column.title) : OrderedJson(nullptr)},
                       {"n_task", mean.n_task},
                       {"value", json_of(mean.value)}});
    }
  return means;
}

}  // namespace

Table tasks_table(std::span<const EvalResult> reports) {
  const std::vector<SystemColumn> systems = columns_of(reports);
  std::vector<Column> columns = {{.name = "task", .title = "Task"},
                                 {.name = "metric", .title = "Metric"}};
  for (const SystemColumn& s : systems)
    columns.push_back({.name = s.layer ? concat("layer_", s.title) : s.system, .title = s.title});
  Table t(std::move(columns));
  for (const EvalResult& r : reports) {
    std::vector<Cell> row = {r.title, metric_title(r.lead)};
    std::vector<double> values;
    for (const SystemColumn& s : systems) values.push_back(lead_of(r, s));
    add_values(systems, values, row);
    t.add(std::move(row));
  }
  bool ruled = false;
  for (const std::string& metric : shared_metrics(reports)) {
    if (!std::exchange(ruled, true)) t.add_rule();
    std::vector<double> values;
    for (const SystemColumn& s : systems) values.push_back(mean_of(reports, metric, s).value);
    std::vector<Cell> row = {
        fmt::format("Mean of {}", mean_of(reports, metric, systems.front()).n_task),
        metric_title(metric)};
    add_values(systems, values, row);
    t.add(std::move(row));
  }
  return t;
}

std::string to_html(std::span<const EvalResult> reports, std::span<const MissingTask> missing) {
  const std::vector<SystemColumn> columns = columns_of(reports);
  HtmlPage page("RWKV sentence embeddings by depth, task by task");
  page.lead(fmt::format(
      "The leading metric of {} tasks at every depth of one RWKV model. Each task has a page of "
      "its own in the folder of its name, with intervals, costs and all metrics.",
      reports.size()));
  page.key_figures(mean_figures(reports, columns));
  page.section("Tasks by layers");
  page.table(tasks_table(reports),
             "The metric that leads each task; the best layer of a row is bold, on the very rows "
             "that the figures are of. Means are of tasks with the same metric.");
  page.figure(heat_of(reports, columns),
              "The same as colours: each task by itself from its lowest figure to its highest, so "
              "that a column shows where along the depth a task is served best.");
  if (const Table verdicts = verdicts_table(reports); !verdicts.rows().empty())
    page.table(verdicts,
               "What each task's page says of layers, and which rows the layer was "
               "chosen on. FLOPs: of those of its deepest layer.");
  page.section("How it was made");
  for (const MissingTask& m : missing) page.note(fmt::format("{}: {}", m.title, m.why));
  page.command(reports.front().command);
  page.table(rows_table(reports), "Every figure, as in results.csv.", true);
  page.footer(fmt::format("fathom {}", FATHOM_VERSION));
  return page.str();
}

void expect_summary(OutputSet& outputs, const std::filesystem::path& directory) {
  outputs.expect_in(directory, {"results.json", "results.csv", "report.html"});
}

void write_summary(std::span<const EvalResult> reports, std::span<const MissingTask> missing,
                   const std::filesystem::path& directory, OutputSet& outputs) {
  FATHOM_ASSERT(!reports.empty());
  OrderedJson all = to_json(reports.front());
  all["tasks"] = OrderedJson::array();
  for (const char* list : {"rows", "cost", "notes"}) all[list] = OrderedJson::array();
  for (const EvalResult& r : reports) {
    OrderedJson one = to_json(r);
    all["tasks"].push_back({{"task", r.task},
                            {"title", r.title},
                            {"split", r.split},
                            {"status", "ok"},
                            {"n", r.n_pair},
                            {"data_files", one["settings"]["data_files"]},
                            {"left_out", one["settings"]["left_out"]},
                            {"nonfinite_vectors", one["settings"]["nonfinite_vectors"]},
                            {"glove", one["glove"]},
                            {"bag", one["bag"]},
                            {"notes", one["notes"]},
                            {"verdict", one["verdict"]}});
    for (OrderedJson& row : one["rows"]) all["rows"].push_back(std::move(row));
    for (OrderedJson& row : one["cost"]) {
      OrderedJson cost{{"task", r.task}};
      cost.update(row);
      all["cost"].push_back(std::move(cost));
    }
  }
  for (const MissingTask& m : missing)
    all["tasks"].push_back(
        {{"task", m.task}, {"title", m.title}, {"split", m.split}, {"status", m.why}});
  all["means"] = means_json(reports);
  for (const char* of_task : {"data_files", "left_out", "nonfinite_vectors"})
    all["settings"].erase(of_task);
  all.erase("glove");
  all.erase("bag");
  all.erase("verdict");
  outputs.write(directory / "results.json", dump_json(all, 1) + "\n");
  outputs.write(directory / "results.csv", to_csv(rows_table(reports)));
  outputs.write(directory / "report.html", to_html(reports, missing));
  outputs.commit();
}

}  // namespace fathom
