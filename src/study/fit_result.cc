// SPDX-License-Identifier: Apache-2.0
#include "study/fit_result.h"

#include <cmath>

#include "study/estimate_json.h"

namespace fathom {
namespace {

void add_figures(const Task& task, const FitLine& line, OrderedJson& row) {
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

std::vector<FitLine> lines_of(const FitResult& result) {
  std::vector<FitLine> lines;
  const auto add = [&](const std::string& name, const LayerFit& fit) {
    lines.push_back({name, fit, result.spread.empty() ? nullptr : &result.spread.at(lines.size())});
  };
  for (size_t i = 0; i < result.fits.size(); ++i) add(result.layers[i], result.fits[i]);
  for (const BaselineFit& b : result.baselines) add(b.title, b.fit);
  return lines;
}

size_t best_layer(const FitResult& result) {
  size_t best = 0;
  const auto score = [&](size_t i) {
    const double s = result.fits[i].scores.front();
    return std::isnan(s) ? -2 : s;  // every metric is at least -1
  };
  for (size_t i = 1; i < result.fits.size(); ++i)
    if (score(i) > score(best)) best = i;
  return best;
}

std::vector<FitSpread> spread_of(const FitResult& result, std::span<const double> gold,
                                 const BootstrapOptions& options, ThreadPool& pool) {
  const std::vector<FitLine> lines = lines_of(result);
  std::vector<Statistic> statistics;
  for (const FitLine& line : lines)
    statistics.push_back(score_statistic(result.task->metrics.front(), line.fit.answers, gold));
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

OrderedJson curve_json(const FitResult& result) {
  const std::vector<FitLine> lines = lines_of(result);
  OrderedJson rows = OrderedJson::array();
  for (size_t i = 0; i < result.fits.size(); ++i) {
    OrderedJson row{{"layer", lines[i].name}};
    add_figures(*result.task, lines[i], row);
    rows.push_back(std::move(row));
  }
  return rows;
}

OrderedJson baselines_json(const FitResult& result) {
  const std::vector<FitLine> lines = lines_of(result);
  OrderedJson rows = OrderedJson::array();
  for (size_t i = 0; i < result.baselines.size(); ++i) {
    OrderedJson row{{"system", result.baselines[i].name}};
    row.update(result.baselines[i].about);
    add_figures(*result.task, lines[result.fits.size() + i], row);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace fathom
