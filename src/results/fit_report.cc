// SPDX-License-Identifier: Apache-2.0
#include "results/fit_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/write_safetensors.h"
#include "results/estimate_json.h"

namespace fathom::cli {
namespace {

// A line of the report: a layer or a baseline.
struct Line {
  std::string name;
  const LayerFit& fit;
  const FitSpread* spread;  // nullptr: there is none
};

std::vector<Line> lines_of(const FitReport& report) {
  std::vector<Line> lines;
  const auto add = [&](const std::string& name, const LayerFit& fit) {
    lines.push_back({name, fit, report.spread.empty() ? nullptr : &report.spread.at(lines.size())});
  };
  for (size_t i = 0; i < report.fits.size(); ++i) add(report.layers[i], report.fits[i]);
  for (const BaselineFit& b : report.baselines) add(b.title, b.fit);
  return lines;
}

Cell cell_of(const Estimate& e) { return Cell(e.value, fixed(4)).between(e.low, e.high); }

std::vector<Cell> table_row(const Task& task, const Line& line, bool best) {
  const LayerFit& fit = line.fit;
  std::vector<Cell> row = {line.name};
  for (size_t m = 0; m < fit.scores.size(); ++m) {
    Cell cell = std::isnan(fit.scores[m]) ? Cell(missing)
                : m == 0 && line.spread   ? cell_of(line.spread->score)
                                          : Cell(fit.scores[m], fixed(4));
    row.push_back(std::move(cell).emphasised(m == 0 && best));
  }
  if (fit.fold_score) row.push_back(Cell(*fit.fold_score, fixed(4)));
  if (line.spread)
    row.push_back(line.name == "0" ? Cell(missing) : cell_of(line.spread->over_layer_0));
  row.push_back(Cell(fit.fitted.c, significant(1)));
  if (task.n_class() > 1) row.push_back(Cell(double{fit.fitted.head.temperature}, fixed(3)));
  return row;
}

void add_figures(const Task& task, const Line& line, OrderedJson& row) {
  const LayerFit& fit = line.fit;
  const std::string leading(name_of(task.metrics.front()));
  for (size_t m = 0; m < fit.scores.size(); ++m)
    row[std::string(name_of(task.metrics[m]))] = json_of(fit.scores[m]);
  if (fit.fold_score) row[leading + "_10_folds"] = json_of(*fit.fold_score);
  if (line.spread) {
    row[leading + "_low"] = json_of(line.spread->score.low);
    row[leading + "_high"] = json_of(line.spread->score.high);
    row["minus_layer_0"] = json_of(line.spread->over_layer_0);
  }
  row["c"] = fit.fitted.c;
  row["temperature"] = fit.fitted.head.temperature;
  row["cut_loss"] = fit.fitted.cut_loss;
}

}  // namespace

size_t best_layer(const FitReport& report) {
  size_t best = 0;
  const auto score = [&](size_t i) {
    const double s = report.fits[i].scores.front();
    return std::isnan(s) ? -2 : s;  // every metric is at least -1
  };
  for (size_t i = 1; i < report.fits.size(); ++i)
    if (score(i) > score(best)) best = i;
  return best;
}

std::vector<FitSpread> spread_of(const FitReport& report, std::span<const double> gold,
                                 const BootstrapOptions& options, ThreadPool& pool) {
  const std::vector<Line> lines = lines_of(report);
  std::vector<Statistic> statistics;
  for (const Line& line : lines)
    statistics.push_back(score_statistic(report.task->metrics.front(), line.fit.answers, gold));
  const auto replicates = Bootstrap(gold.size(), options).run(statistics, pool);
  const auto value = [&](size_t i) { return statistics[i]({}); };
  std::vector<FitSpread> spread;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Interval own = percentile_interval(replicates[i]);
    const Interval over = paired_difference(replicates[i], replicates[0]).interval;
    spread.push_back({{value(i), own.low, own.high}, {value(i) - value(0), over.low, over.high}});
  }
  return spread;
}

Table curve_table(const FitReport& report) {
  const Task& task = *report.task;
  std::vector<Column> columns = {{.name = "layer", .title = "Layer", .align = Align::kRight}};
  for (TaskMetric metric : task.metrics) columns.push_back({.name = std::string(name_of(metric))});
  if (report.fits.front().fold_score) columns.push_back({.name = "folds", .title = "10 folds"});
  if (!report.spread.empty())
    columns.push_back({.name = "minus_layer_0", .title = "minus layer 0"});
  columns.push_back({.name = "c", .title = "C"});
  if (task.n_class() > 1) columns.push_back({.name = "temperature"});
  Table table(std::move(columns));
  const std::vector<Line> lines = lines_of(report);
  const size_t best = best_layer(report);
  for (size_t i = 0; i < lines.size(); ++i) table.add(table_row(task, lines[i], i == best));
  return table;
}

OrderedJson curve_json(const FitReport& report) {
  const std::vector<Line> lines = lines_of(report);
  OrderedJson rows = OrderedJson::array();
  for (size_t i = 0; i < report.fits.size(); ++i) {
    OrderedJson row{{"layer", lines[i].name}};
    add_figures(*report.task, lines[i], row);
    rows.push_back(std::move(row));
  }
  return rows;
}

OrderedJson baselines_json(const FitReport& report) {
  const std::vector<Line> lines = lines_of(report);
  OrderedJson rows = OrderedJson::array();
  for (size_t i = 0; i < report.baselines.size(); ++i) {
    OrderedJson row{{"system", report.baselines[i].name}};
    row.update(report.baselines[i].about);
    add_figures(*report.task, lines[report.fits.size() + i], row);
    rows.push_back(std::move(row));
  }
  return rows;
}

void write_heads(AtomicFile& out, const FitReport& report) {
  std::vector<NamedArray> arrays;
  for (size_t i = 0; i < report.fits.size(); ++i) {
    const LayerFit& fit = report.fits[i];
    const std::string layer = concat("layer.", report.layers[i], ".");
    save(fit.post, layer + "post.", arrays);
    if (!report.task) continue;
    save(fit.fitted.head, layer + "head.", arrays);
    if (report.task->n_class() > 1) save(fit.prototypes, layer + "prototypes.", arrays);
  }
  if (report.learned) save(*report.learned, "learned.", arrays);
  std::vector<TensorToWrite> tensors;
  for (const NamedArray& a : arrays)
    tensors.push_back(tensor_to_write(a.name, a.shape, std::span<const float>(a.values)));
  OrderedJson about = report.about;
  if (report.task) {
    about["features"] = std::string(name_of(report.task->features));
    about["n_class"] = report.task->n_class();
    about["labels"] = OrderedJson::array();
    for (std::string_view label : report.task->labels)
      about["labels"].push_back(std::string(label));
    about["curve"] = curve_json(report);
  }
  FATHOM_REQUIRE(!tensors.empty(), out.path().string(),
                 ": nothing was fitted that could be written");
  write_safetensors(out, tensors, {{"fathom_heads", dump_json(about)}});
}

std::string submission_text(const Task& task, std::span<const double> predicted) {
  std::string text = "index\tprediction\n";
  for (size_t i = 0; i < predicted.size(); ++i) {
    if (task.gold == Gold::kScore)
      text += fmt::format("{}\t{:.3f}\n", i, std::clamp(predicted[i], task.lowest, task.highest));
    else
      text += fmt::format("{}\t{}\n", i, task.labels[static_cast<size_t>(predicted[i])]);
  }
  return text;
}

}  // namespace fathom::cli
