// SPDX-License-Identifier: Apache-2.0
#include "study/advise.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "probe/calibrate.h"

namespace fathom {
namespace {

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Some rows of a split: what is right, and what full depth answers.
struct Sample {
  std::vector<size_t> rows;
  std::vector<double> gold;
  Outcomes full;
};

std::vector<double> pick(std::span<const double> from, std::span<const size_t> rows) {
  std::vector<double> out;
  for (size_t row : rows) out.push_back(from[row]);
  return out;
}

Outcomes pick(const Outcomes& from, std::span<const size_t> rows) {
  return {pick(from.answer, rows), pick(from.flops, rows), {}};
}

Sample sample_of(std::span<const double> gold, const Outcomes& full, std::vector<size_t> rows) {
  return {rows, pick(gold, rows), pick(full, rows)};
}

double loss_of(const SweepTask& task, double answer, double full) {
  if (task.task.n_class() > 1) return answer == full ? 0 : 1;
  return std::min(1.0, std::abs(answer - full) / task.range());
}

std::vector<double> losses_of(const SweepTask& task, const Outcomes& ours, const Outcomes& full) {
  std::vector<double> loss;
  for (size_t i = 0; i < ours.answer.size(); ++i)
    loss.push_back(loss_of(task, ours.answer[i], full.answer[i]));
  return loss;
}

// How many of the method's points, from the safest on, meet the target with the guarantee.
size_t n_certified(const SweepTask& task, const Method& method, const Sample& half, double delta,
                   double epsilon) {
  const size_t n_point = method.points.size();
  std::vector<float> loss(half.rows.size() * n_point);
  for (size_t j = 0; j < n_point; ++j) {
    const auto column = losses_of(task, pick(method.points[j].calibration, half.rows), half.full);
    for (size_t i = 0; i < column.size(); ++i)
      loss[i * n_point + j] = static_cast<float>(column[i]);
  }
  const PValue kind = task.task.n_class() > 1 ? PValue::kBinomial : PValue::kHoeffdingBentkus;
  const auto last = learn_then_test({loss.data(), half.rows.size(), n_point}, delta, epsilon, kind);
  return last ? *last + 1 : 0;
}

std::optional<std::pair<size_t, size_t>> choose(const SweepTask& task,
                                                std::span<const Method> methods, const Sample& half,
                                                const AdviceTarget& target) {
  const double full = leading_score(task, half.full.answer, half.gold),
               wanted = full - target.max_loss * std::abs(full),
               epsilon = target.epsilon / static_cast<double>(methods.size());
  std::optional<std::pair<size_t, size_t>> best;
  double cheapest = mean_of(half.full.flops);
  for (size_t m = 0; m < methods.size(); ++m) {
    const Method& method = methods[m];
    const bool guaranteed = target.epsilon > 0;
    const size_t n = guaranteed ? n_certified(task, method, half, target.max_loss, epsilon)
                                : method.points.size();
    for (size_t j = 0; j < n; ++j) {
      const Outcomes ours = pick(method.points[j].calibration, half.rows);
      const double cost = mean_of(ours.flops);
      if (cost >= cheapest) continue;
      if (!guaranteed && leading_score(task, ours.answer, half.gold) < wanted) continue;
      best = {m, j};
      cheapest = cost;
    }
  }
  return best;
}

AdviceFigures figures_of(const SweepTask& task, const Sample& rows, const Outcomes& ours,
                         const BootstrapOptions& options) {
  const TaskMetric metric = task.task.metrics.front();
  const Statistic score = score_statistic(metric, ours.answer, rows.gold),
                  full_score = score_statistic(metric, rows.full.answer, rows.gold);
  const auto share = [](double full, double now) {
    return full == 0 ? std::nan("") : (full - now) / std::abs(full);
  };
  const auto sum = [](std::span<const double> values, Multiplicities times) {
    double total = 0;
    for (size_t i = 0; i < values.size(); ++i)
      total += values[i] * (times.empty() ? 1 : static_cast<double>(times[i]));
    return total;
  };
  const std::vector<double> losses = losses_of(task, ours, rows.full);
  const Statistic all[] = {
      [&](Multiplicities t) { return share(sum(rows.full.flops, t), sum(ours.flops, t)); },
      [&](Multiplicities t) { return share(full_score(t), score(t)); },
      [&](Multiplicities t) { return sum(losses, t) / static_cast<double>(losses.size()); }};
  const auto replicates = Bootstrap(rows.gold.size(), options).run(all, task.pool);
  const auto estimate = [&](size_t i) {
    const Interval interval = percentile_interval(replicates[i]);
    return Estimate{all[i]({}), interval.low, interval.high};
  };
  return {rows.gold.size(), estimate(0), estimate(1), estimate(2)};
}

}  // namespace

Advice advise(const SweepTask& task, const MethodPoint& full, std::span<const Method> methods,
              const AdviceTarget& target, const BootstrapOptions& options) {
  const std::vector<double> gold = calibration_gold(task);
  FATHOM_REQUIRE(gold.size() >= 4, task.task.name, ": ", gold.size(),
                 " calibration rows are too few to choose on one half and to judge on the other");
  std::vector<size_t> rows(gold.size());
  std::iota(rows.begin(), rows.end(), size_t{0});
  Random random(options.seed);
  for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random.below(i)]);
  const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
  const Sample chosen_on = sample_of(gold, full.calibration, {rows.begin(), middle}),
               held_out = sample_of(gold, full.calibration, {middle, rows.end()});
  std::vector<size_t> every(task.evaluated.gold.size());
  std::iota(every.begin(), every.end(), size_t{0});
  const Sample evaluated = sample_of(task.evaluated.gold, full.evaluated, std::move(every));

  Advice advice;
  advice.choice = choose(task, methods, chosen_on, target);
  const MethodPoint& point =
      advice.choice ? methods[advice.choice->first].points[advice.choice->second] : full;
  const auto figures = [&](const Sample& of, const Outcomes& all) {
    return figures_of(task, of, pick(all, of.rows), options);
  };
  advice.chosen_on = figures(chosen_on, point.calibration);
  advice.held_out = figures(held_out, point.calibration);
  advice.evaluated = figures(evaluated, point.evaluated);
  return advice;
}

}  // namespace fathom
