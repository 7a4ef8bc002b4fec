// SPDX-License-Identifier: Apache-2.0
#include "cli/fit_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/atomic_file.h"
#include "base/error.h"
#include "formats/write_safetensors.h"

namespace fathom::cli {
namespace {

OrderedJson number(double x) { return std::isfinite(x) ? OrderedJson(x) : OrderedJson(nullptr); }

std::vector<Cell> table_row(const Task& task, const std::string& name, const LayerFit& fit,
                            bool best) {
  std::vector<Cell> row = {name};
  for (size_t m = 0; m < fit.scores.size(); ++m)
    row.push_back(std::isnan(fit.scores[m])
                      ? Cell(missing)
                      : Cell(fit.scores[m], fixed(4)).emphasised(m == 0 && best));
  if (fit.fold_score) row.push_back(Cell(*fit.fold_score, fixed(4)));
  row.push_back(Cell(fit.fitted.c, significant(1)));
  if (task.n_class() > 1) row.push_back(Cell(double{fit.fitted.head.temperature}, fixed(3)));
  return row;
}

void add_figures(const Task& task, const LayerFit& fit, OrderedJson& row) {
  for (size_t m = 0; m < fit.scores.size(); ++m)
    row[std::string(name_of(task.metrics[m]))] = number(fit.scores[m]);
  if (fit.fold_score)
    row[concat(name_of(task.metrics.front()), "_10_folds")] = number(*fit.fold_score);
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

Table curve_table(const FitReport& report) {
  const Task& task = *report.task;
  std::vector<Column> columns = {{.name = "layer", .title = "Layer", .align = Align::kRight}};
  for (TaskMetric metric : task.metrics) columns.push_back({.name = std::string(name_of(metric))});
  if (report.fits.front().fold_score) columns.push_back({.name = "folds", .title = "10 folds"});
  columns.push_back({.name = "c", .title = "C"});
  if (task.n_class() > 1) columns.push_back({.name = "temperature"});
  Table table(std::move(columns));
  const size_t best = best_layer(report);
  for (size_t i = 0; i < report.fits.size(); ++i)
    table.add(table_row(task, report.layers[i], report.fits[i], i == best));
  for (const BaselineFit& b : report.baselines) table.add(table_row(task, b.name, b.fit, false));
  return table;
}

OrderedJson curve_json(const FitReport& report) {
  OrderedJson rows = OrderedJson::array();
  for (size_t i = 0; i < report.fits.size(); ++i) {
    OrderedJson row{{"layer", report.layers[i]}};
    add_figures(*report.task, report.fits[i], row);
    rows.push_back(std::move(row));
  }
  return rows;
}

OrderedJson baselines_json(const FitReport& report) {
  OrderedJson rows = OrderedJson::array();
  for (const BaselineFit& b : report.baselines) {
    OrderedJson row{{"system", b.name}};
    row.update(b.about);
    add_figures(*report.task, b.fit, row);
    rows.push_back(std::move(row));
  }
  return rows;
}

void write_heads(const std::filesystem::path& path, const FitReport& report) {
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
  FATHOM_REQUIRE(!tensors.empty(), path.string(), ": nothing was fitted that could be written");
  write_safetensors(path, tensors, {{"fathom_heads", about.dump()}});
}

void write_submission(const std::filesystem::path& path, const Task& task,
                      std::span<const double> predicted) {
  std::string text = "index\tprediction\n";
  for (size_t i = 0; i < predicted.size(); ++i) {
    if (task.gold == Gold::kScore)
      text += fmt::format("{}\t{:.3f}\n", i, std::clamp(predicted[i], task.lowest, task.highest));
    else
      text += fmt::format("{}\t{}\n", i, task.labels[static_cast<size_t>(predicted[i])]);
  }
  write_file(path, text);
}

}  // namespace fathom::cli
