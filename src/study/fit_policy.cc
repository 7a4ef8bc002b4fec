// SPDX-License-Identifier: Apache-2.0
#include "study/fit_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/invalid_option.h"
#include "depth/layers.h"
#include "eval/cost.h"
#include "probe/calibrate.h"

namespace fathom {
namespace {

double range_of(const Task* task) {
  return task && task->gold == Gold::kScore ? task->highest - task->lowest : 1;
}

std::vector<size_t> all_of(size_t n) {
  std::vector<size_t> rows(n);
  for (size_t i = 0; i < n; ++i) rows[i] = i;
  return rows;
}

// The rule without thresholds: exits at the layers asked for and at the last one.
ExitRule make_rule(const PolicyRequest& request, const Task* task,
                   const std::vector<LayerFit>& fits, size_t n_layer) {
  const std::string measure = !request.measure.empty()      ? request.measure
                              : task && task->n_class() > 1 ? "entropy"
                                                            : "saturation";
  return make_exit_rule({.measure = parse_measure(measure),
                         .layers = exit_layers(request.exits, n_layer),
                         .streak = request.streak,
                         .alpha = request.alpha},
                        task, fits, n_layer);
}

// What the policy does on the evaluated split: for the file and the terminal.
OrderedJson judge(const ExitRule& rule, const PolicyInputs& in, ExitLoss loss,
                  const OperatingPoint& point) {
  const PolicySplit& split = in.evaluated;
  const std::vector<size_t> rows = all_of(split.gold.size());
  const ExitExamples examples{*split.cache, rows, split.gold, range_of(in.task)};
  const ExitTable table = run_exits(rule, examples, loss, in.pool);
  const std::vector<size_t> exit = stops(rule, table, point);
  const OperatingPoint points[] = {point};
  const std::vector<float> costs =
      cost_matrix(rule, table, points, cost_model(in.model.config()), examples, split.n_token);
  const double n = static_cast<double>(exit.size());
  double depth = 0, sum_loss = 0, share = 0;
  std::vector<double> answer, full;
  for (size_t i = 0; i < exit.size(); ++i) {
    depth += static_cast<double>(table.layers[exit[i]]);
    sum_loss += table.loss[table.at(exit[i], i)];
    share += costs[i];
    answer.push_back(table.answer[table.at(exit[i], i)]);
    full.push_back(table.answer[table.at(table.layers.size() - 1, i)]);
  }
  OrderedJson j{{"n", exit.size()},
                {"mean_exit_layer", depth / n},
                {"flops_share", share / n},
                {"mean_loss", sum_loss / n}};
  for (TaskMetric metric : in.task->metrics) {
    const std::string name(name_of(metric));
    j[name] = score_of(metric, answer, split.gold);
    j[name + "_full_depth"] = score_of(metric, full, split.gold);
  }
  return j;
}

// Thresholds for the target; the rule becomes the policy's. Returns what the file says about it.
OrderedJson calibrate(const PolicyRequest& request, const PolicyInputs& in, ExitLoss loss,
                      ExitRule& rule, OperatingPoint& point) {
  const FeatureCache& cache = *in.train.cache;
  const double range = range_of(in.task);
  const ExitTable tune =
      run_exits(rule, {cache, in.rows.tune, in.train.gold, range}, loss, in.pool);
  const std::vector<OperatingPoint> points = operating_points(rule, tune);
  const ExitExamples held_out{cache, in.rows.calibration, in.train.gold, range};
  const ExitTable table = run_exits(rule, held_out, loss, in.pool);
  const std::vector<float> losses = loss_matrix(rule, table, points);
  const std::vector<float> costs =
      cost_matrix(rule, table, points, cost_model(in.model.config()), held_out, in.train.n_token);
  const Matrix<const float> loss_view(losses.data(), table.n_example, points.size()),
      cost_view(costs.data(), table.n_example, points.size());
  const std::optional<size_t> chosen = choose_point(request.target, loss_view, cost_view);
  FATHOM_REQUIRE(chosen, "no threshold gives ", describe(request.target), ": of ", points.size(),
                 " tried on ", table.n_example, " calibration examples, not even the ",
                 request.target.kind == ExitTarget::Kind::kSpeed ? "boldest" : "safest", " does");
  point = points[*chosen];
  set_point(rule, point);
  const double mean = column_means(loss_view)[*chosen];
  return {{"target", describe(request.target)},
          {"loss", request.loss},
          {"n_calibration", table.n_example},
          {"n_threshold", points.size()},
          {"chosen", *chosen},
          {"mean_loss", mean},
          {"sum_loss", mean * static_cast<double>(table.n_example)},
          {"flops_share", column_means(cost_view)[*chosen]}};
}

}  // namespace

std::string describe(const ExitTarget& target) {
  switch (target.kind) {
    case ExitTarget::Kind::kSpeed:
      return fmt::format("{} times as fast", target.value);
    case ExitTarget::Kind::kLoss:
      return fmt::format("mean loss at most {} on calibration", target.value);
    case ExitTarget::Kind::kRiskControl:
      return fmt::format("expected loss at most {}", target.value);
    case ExitTarget::Kind::kGuarantee:
      return fmt::format("loss at most {} with probability {}", target.value, 1 - target.epsilon);
  }
  FATHOM_ASSERT(!"unknown target");
}

ExitLoss parse_loss(const std::string& text, const Task* task) {
  if (text == "consistency") return ExitLoss::kConsistency;
  if (text != "risk") throw InvalidOption("loss", "consistency or risk", concat("'", text, "'"));
  if (!task || task->n_class() < 2)
    throw InvalidOption("loss", "consistency, which fits any task: this one has no classes",
                        "risk");
  return ExitLoss::kRisk;
}

std::vector<size_t> exit_layers(const std::string& text, size_t n_layer) {
  std::vector<size_t> layers =
      parse_layers(text == "all" ? fmt::format("1-{}", n_layer) : text, n_layer, "exits");
  layers.push_back(n_layer);
  std::ranges::sort(layers);
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  if (layers.back() > n_layer) throw InvalidOption("exits", "layers: final is not a place to stop");
  return layers;
}

PolicyFile fit_policy(const PolicyRequest& request, const PolicyInputs& in, FitResult& result) {
  const Task* task = in.task;
  FATHOM_REQUIRE(!in.rows.calibration.empty(),
                 "`calibration` 0 leaves no rows to choose thresholds on; use `heads` FILE without "
                 "`output`, or `calibration` 1 to 8");
  const ExitLoss loss = parse_loss(request.loss, task);
  ExitRule rule = make_rule(request, task, result.fits, in.model.config().n_layer);
  if (!task) fit_maps(rule, *in.train.cache, in.rows.heads, in.rows.tune, in.pool);
  if (traits_of(rule.measure).needs_learned) {
    const double tolerance = task && task->n_class() > 1 ? 0.5 : request.tolerance;
    rule.learned = fit_learned(rule, {*in.train.cache, in.rows.tune, in.train.gold, range_of(task)},
                               loss, tolerance, in.pool);
    result.learned = rule.learned;
  }
  rule.check(rule.n_layer(), in.model.config().d_model);  // does the measure fit the task?
  PolicyFile file;
  file.model = fingerprint_of(in.model);
  file.reading.pool_as(in.encode);
  file.fitted = result.about;
  OperatingPoint point;
  file.fitted["calibration"] = calibrate(request, in, loss, rule, point);
  if (task && in.evaluated.cache)
    file.fitted[std::string(name_of(task->report))] = judge(rule, in, loss, point);
  if (task) file.fitted["curve"] = curve_json(result);
  file.rule = std::move(rule);
  return file;
}

}  // namespace fathom
