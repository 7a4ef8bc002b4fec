// SPDX-License-Identifier: Apache-2.0
#include "results/fit_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/shell.h"
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

// "accuracy 0.7034, full depth 0.7108".
std::string metric_words(const OrderedJson& figures, const Task& task) {
  const std::string name(name_of(task.metrics.front()));
  return fmt::format("{} {:.4f}, at full depth {:.4f}", name, figures.value(name, std::nan("")),
                     figures.value(name + "_full_depth", std::nan("")));
}

std::string chosen_words(const PolicyFile& file, const OrderedJson& calibration) {
  const auto& rule = std::get<ExitRule>(file.rule);
  const ExitPoint& first = rule.exits.front();
  const std::string at =
      rule.has_threshold()
          ? fmt::format("{}, threshold {:.4g}", name_of(rule.measure), first.threshold)
          : fmt::format("{}, {} in a row", name_of(rule.measure), rule.streak);
  return fmt::format("exits at {} of {} layers by {}, for {}, on {} calibration rows.",
                     rule.exits.size(), file.model.n_layer, at,
                     calibration.at("target").get<std::string>(),
                     calibration.at("n_calibration").get<size_t>());
}

}  // namespace

Closing closing_of(const PolicyFile& file, const ExitTarget& target, const Task* task,
                   const CommandPlaces& places) {
  const OrderedJson& calibration = file.fitted.at("calibration");
  Closing closing;
  const auto warn = [&](std::string text) {
    if (!text.empty()) closing.warnings.push_back(std::move(text));
  };
  const std::string split = task ? std::string(name_of(task->report)) : "";
  const bool judged = task && file.fitted.contains(split);
  const OrderedJson& figures = judged ? file.fitted.at(split) : calibration;
  const double left = figures.at("flops_share").get<double>(),
               loss = figures.at("mean_loss").get<double>();
  const size_t n = calibration.at("n_calibration").get<size_t>();
  if (judged && target.kind != ExitTarget::Kind::kSpeed && loss > target.value)
    warn(
        fmt::format("WARNING: on {} rows that did not choose ({}) the mean loss is {:.4f}, more "
                    "than the {:g} asked for",
                    figures.at("n").get<size_t>(), split, loss, target.value));
  warn(warn_of_no_saving(left));
  warn(warn_of_few_rows(n, "calibration rows"));
  closing.chosen = chosen_words(file, calibration);
  const std::string saves =
      fmt::format("saves {:.1f} % of the FLOPs, mean loss {:.4f}", 100 * (1 - left), loss);
  closing.effect =
      judged
          ? fmt::format("On {} rows of {}, not used for the choice: {}; {}.",
                        figures.at("n").get<size_t>(), split, saves, metric_words(figures, *task))
          : fmt::format(
                "On the {} calibration rows, which chose it: {}. There are no others to "
                "judge it on.",
                n, saves);
  closing.use = use_line(places, task != nullptr, task && task->is_pair());
  return closing;
}

Closing closing_of(const FitResult& result, size_t n_evaluated, const CommandPlaces& places) {
  const Task& task = *result.task;
  const size_t best = best_layer(result);
  const std::string metric(name_of(task.metrics.front()));
  Closing closing;
  closing.chosen = fmt::format("layer {}, the best of {} by {}; all heads are in {}.",
                               result.layers[best], result.layers.size(), metric, places.output);
  const double score =
      result.fits[best].scores.empty() ? std::nan("") : result.fits[best].scores.front();
  closing.effect =
      n_evaluated == 0 || std::isnan(score)
          ? std::string("There are no rows to judge it on.")
          : fmt::format(
                "On {} rows of {}, which chose it: {} {:.4f}; expect a little less on other "
                "texts.",
                n_evaluated, name_of(task.report), metric, score);
  closing.use = fmt::format("fathom embed {} -i texts.txt -o vectors.npy --layers {}",
                            shell_quoted(places.model), result.layers[best]);
  return closing;
}

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

OrderedJson to_json(const FitResult& result, const std::vector<std::string>& notes) {
  OrderedJson j{{"about", result.about}, {"notes", notes}};
  if (result.task) {
    j["curve"] = curve_json(result);
    j["baselines"] = baselines_json(result);
  }
  return j;
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
