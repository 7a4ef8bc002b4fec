// SPDX-License-Identifier: Apache-2.0
#include "results/fit_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/write_safetensors.h"

namespace fathom {
namespace {

Cell cell_of(const Estimate& e) { return Cell(e.value, fixed(4)).between(e.low, e.high); }

std::vector<Cell> table_row(const Task& task, const FitLine& line, bool best) {
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

}  // namespace

Table curve_table(const FitResult& result) {
  const Task& task = *result.task;
  std::vector<Column> columns = {{.name = "layer", .title = "Layer", .align = Align::kRight}};
  for (TaskMetric metric : task.metrics) columns.push_back({.name = std::string(name_of(metric))});
  if (result.fits.front().fold_score) columns.push_back({.name = "folds", .title = "10 folds"});
  if (!result.spread.empty())
    columns.push_back({.name = "minus_layer_0", .title = "minus layer 0"});
  columns.push_back({.name = "c", .title = "C"});
  if (task.n_class() > 1) columns.push_back({.name = "temperature"});
  Table table(std::move(columns));
  const std::vector<FitLine> lines = lines_of(result);
  const size_t best = best_layer(result);
  for (size_t i = 0; i < lines.size(); ++i) table.add(table_row(task, lines[i], i == best));
  return table;
}

void write_heads(AtomicFile& out, const FitResult& result) {
  std::vector<NamedArray> arrays;
  for (size_t i = 0; i < result.fits.size(); ++i) {
    const LayerFit& fit = result.fits[i];
    const std::string layer = concat("layer.", result.layers[i], ".");
    save(fit.post, layer + "post.", arrays);
    if (!result.task) continue;
    save(fit.fitted.head, layer + "head.", arrays);
    if (result.task->n_class() > 1) save(fit.prototypes, layer + "prototypes.", arrays);
  }
  if (result.learned) save(*result.learned, "learned.", arrays);
  std::vector<TensorToWrite> tensors;
  for (const NamedArray& a : arrays)
    tensors.push_back(tensor_to_write(a.name, a.shape, std::span<const float>(a.values)));
  OrderedJson about = result.about;
  if (result.task) {
    about["features"] = std::string(name_of(result.task->features));
    about["n_class"] = result.task->n_class();
    about["labels"] = OrderedJson::array();
    for (std::string_view label : result.task->labels)
      about["labels"].push_back(std::string(label));
    about["curve"] = curve_json(result);
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

}  // namespace fathom
