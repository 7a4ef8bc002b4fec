// SPDX-License-Identifier: Apache-2.0
#include "study/advise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "probe/calibrate.h"
#include "study/rows.h"

namespace fathom {
namespace {

// Some rows of a split: what is right, and what full depth answers.
struct Sample {
  std::vector<size_t> rows;
  std::vector<double> gold;
  Outcomes full;
};

Outcomes outcomes_at(const Outcomes& from, std::span<const size_t> rows) {
  return {pick(from.answer, rows), pick(from.flops, rows), {}};
}

Sample sample_of(std::span<const double> gold, const Outcomes& full, std::vector<size_t> rows) {
  return {rows, pick(gold, rows), outcomes_at(full, rows)};
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

double lost_share(double full, double now) {
  return full == 0 ? std::nan("") : (full - now) / std::abs(full);
}

bool leads_with_accuracy(const Task& task) { return task.metrics.front() == TaskMetric::kAccuracy; }

// An upper bound of what a point loses, from some rows.
class LossBound {
 public:
  LossBound(const SweepTask& task, const Sample& sample, const AdviceTarget& target, double epsilon,
            const BootstrapOptions& options)
      : task_(task), sample_(sample), target_(target), epsilon_(epsilon), options_(options) {}

  // Whether the point keeps the promise.
  bool certifies(const Outcomes& ours) const {
    if (uses_bootstrap()) return of(ours) <= target_.max_loss;
    const auto [kind, sum, n] = counted(ours);
    return n > 0 && p_value(kind, sum, n, target_.max_loss) <= epsilon_;
  }

  double of(const Outcomes& ours) const {
    if (!uses_bootstrap()) {
      const auto [kind, sum, n] = counted(ours);
      return upper_bound(kind, sum, n, epsilon_);
    }
    const TaskMetric metric = task_.task.metrics.front();
    const Statistic now = score_statistic(metric, ours.answer, sample_.gold),
                    full = score_statistic(metric, sample_.full.answer, sample_.gold);
    const Statistic lost[] = {[&](Multiplicities t) { return lost_share(full(t), now(t)); }};
    std::vector<double> replicates =
        Bootstrap(sample_.gold.size(), options_).run(lost, task_.pool)[0];
    std::erase_if(replicates, [](double x) { return std::isnan(x); });
    std::ranges::sort(replicates);
    return replicates.empty() ? std::numeric_limits<double>::infinity()
                              : quantile_of_sorted(replicates, 1 - epsilon_);
  }

  // Rows that count: see advise.h.
  size_t n_row() const {
    if (target_.promise != AdvicePromise::kQuality || uses_bootstrap()) return sample_.gold.size();
    size_t n = 0;
    for (size_t i = 0; i < sample_.gold.size(); ++i) n += is_right(sample_.full, i);
    return n;
  }

 private:
  struct Counted {
    PValue kind;
    double sum;
    size_t n;
  };

  bool uses_bootstrap() const {
    return target_.promise == AdvicePromise::kQuality && !leads_with_accuracy(task_.task);
  }
  bool is_right(const Outcomes& outcomes, size_t i) const {
    return outcomes.answer[i] == sample_.gold[i];
  }
  Counted counted(const Outcomes& ours) const {
    if (target_.promise == AdvicePromise::kQuality) {
      double lost = 0;
      for (size_t i = 0; i < sample_.gold.size(); ++i)
        lost += is_right(sample_.full, i) && !is_right(ours, i);
      return {PValue::kBinomial, lost, n_row()};
    }
    const std::vector<double> losses = losses_of(task_, ours, sample_.full);
    return {task_.task.n_class() > 1 ? PValue::kBinomial : PValue::kHoeffdingBentkus,
            std::accumulate(losses.begin(), losses.end(), 0.0), losses.size()};
  }

  const SweepTask& task_;
  const Sample& sample_;
  const AdviceTarget& target_;
  double epsilon_;
  const BootstrapOptions& options_;
};

// The cheapest of the leading points of each method that `keeps` takes; leads: whether a point that
// it does not take ends its method.
template <class Keeps>
std::optional<std::pair<size_t, size_t>> cheapest(std::span<const Method> methods,
                                                  const Sample& sample, bool leads,
                                                  const Keeps& keeps) {
  std::optional<std::pair<size_t, size_t>> best;
  double least = mean_of(sample.full.flops);
  for (size_t m = 0; m < methods.size(); ++m)
    for (size_t j = 0; j < methods[m].points.size(); ++j) {
      const Outcomes ours = outcomes_at(methods[m].points[j].calibration, sample.rows);
      if (!keeps(ours)) {
        if (leads) break;
        continue;
      }
      const double cost = mean_of(ours.flops);
      if (cost >= least) continue;
      best = {m, j};
      least = cost;
    }
  return best;
}

std::optional<std::pair<size_t, size_t>> choose_by_mean(const SweepTask& task,
                                                        std::span<const Method> methods,
                                                        const Sample& half, double max_loss) {
  const double full = leading_score(task, half.full.answer, half.gold),
               wanted = full - max_loss * std::abs(full);
  return cheapest(methods, half, false, [&](const Outcomes& ours) {
    return leading_score(task, ours.answer, half.gold) >= wanted;
  });
}

AdviceFigures figures_of(const SweepTask& task, const Sample& rows, const Outcomes& ours,
                         const BootstrapOptions& options) {
  const TaskMetric metric = task.task.metrics.front();
  const Statistic score = score_statistic(metric, ours.answer, rows.gold),
                  full_score = score_statistic(metric, rows.full.answer, rows.gold);
  const auto sum = [](std::span<const double> values, Multiplicities times) {
    double total = 0;
    for (size_t i = 0; i < values.size(); ++i)
      total += values[i] * (times.empty() ? 1 : static_cast<double>(times[i]));
    return total;
  };
  const std::vector<double> losses = losses_of(task, ours, rows.full);
  const Statistic all[] = {
      [&](Multiplicities t) { return lost_share(sum(rows.full.flops, t), sum(ours.flops, t)); },
      [&](Multiplicities t) { return lost_share(full_score(t), score(t)); },
      [&](Multiplicities t) { return sum(losses, t) / static_cast<double>(losses.size()); }};
  const auto replicates = Bootstrap(rows.gold.size(), options).run(all, task.pool);
  const auto estimate = [&](size_t i) {
    const Interval interval = percentile_interval(replicates[i]);
    return Estimate{all[i]({}), interval.low, interval.high};
  };
  return {rows.gold.size(), estimate(0), estimate(1), estimate(2)};
}

std::string percent(double share, int digits) {
  return fmt::format("{:.{}f} %", 100 * share, digits);
}

}  // namespace

AdviceResolution resolution_of(const AdviceTarget& target, size_t n_row, size_t n_method,
                               bool accuracy) {
  AdviceResolution r{.n_available = n_row, .n_test = std::max<size_t>(n_method, 1)};
  r.is_exact = target.promise == AdvicePromise::kAnswers ||
               (target.promise == AdvicePromise::kQuality && accuracy);
  if (target.promise == AdvicePromise::kOptimistic) return r;
  r.epsilon = target.epsilon / static_cast<double>(r.n_test);
  if (!r.is_exact) return r;
  r.n_needed = rows_needed(target.max_loss, r.epsilon);
  r.smallest = smallest_certified(n_row, r.epsilon);
  return r;
}

const Estimate& Advice::reported(AdvicePromise promise) const {
  const AdviceFigures& figures = held_out ? *held_out : evaluated;
  return promise == AdvicePromise::kAnswers ? figures.differs : figures.loss;
}

Advice advise(const SweepTask& task, const MethodPoint& full, std::span<const Method> methods,
              const AdviceTarget& target, const BootstrapOptions& options,
              std::span<const size_t> chosen_rows) {
  const std::vector<double> gold = calibration_gold(task);
  std::vector<size_t> rows(chosen_rows.begin(), chosen_rows.end());
  if (rows.empty()) rows = every_row(gold.size());
  FATHOM_REQUIRE(rows.size() >= 4, task.task.name, ": ", rows.size(),
                 " calibration rows are too few to choose on; expected at least 4");
  const bool promises = target.promise != AdvicePromise::kOptimistic;
  FATHOM_ASSERT(!promises || (target.max_loss > 0 && target.epsilon > 0));
  Advice advice;
  std::optional<Sample> held_out;
  if (!promises) {
    Random random(options.seed);
    for (size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random.below(i)]);
    const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
    held_out = sample_of(gold, full.calibration, {middle, rows.end()});
    rows.erase(middle, rows.end());
  }
  const Sample chosen_on = sample_of(gold, full.calibration, std::move(rows)),
               evaluated = sample_of(task.evaluated.gold, full.evaluated,
                                     every_row(task.evaluated.gold.size()));
  const double epsilon = target.epsilon / static_cast<double>(std::max<size_t>(methods.size(), 1));
  const LossBound bound(task, chosen_on, target, epsilon, options);
  advice.choice = promises ? cheapest(methods, chosen_on, true,
                                      [&](const Outcomes& ours) { return bound.certifies(ours); })
                           : choose_by_mean(task, methods, chosen_on, target.max_loss);
  advice.resolution =
      resolution_of(target, bound.n_row(), methods.size(), leads_with_accuracy(task.task));
  const MethodPoint& point =
      advice.choice ? methods[advice.choice->first].points[advice.choice->second] : full;
  if (promises && advice.choice)
    advice.bound = bound.of(outcomes_at(point.calibration, chosen_on.rows));
  const auto figures = [&](const Sample& of, const Outcomes& all) {
    return figures_of(task, of, outcomes_at(all, of.rows), options);
  };
  advice.chosen_on = figures(chosen_on, point.calibration);
  if (held_out) advice.held_out = figures(*held_out, point.calibration);
  advice.evaluated = figures(evaluated, point.evaluated);
  return advice;
}

std::vector<std::string> warnings_of(const Advice& advice, const AdviceTarget& target,
                                     const Task& task) {
  std::vector<std::string> warnings;
  const AdviceResolution& r = advice.resolution;
  const Estimate& loss = advice.reported(target.promise);
  const AdviceFigures& figures = advice.held_out ? *advice.held_out : advice.evaluated;
  if (loss.value > target.max_loss)
    warnings.push_back(fmt::format(
        "WARNING: on {} rows that did not choose ({}) {} {}, more than the {} asked for", figures.n,
        advice.held_out ? std::string("held-out calibration") : std::string(name_of(task.report)),
        target.promise == AdvicePromise::kAnswers ? "answers differ from full depth's by"
                                                  : "the loss is",
        percent(loss.value, 1), percent(target.max_loss, 1)));
  const bool promises = target.promise != AdvicePromise::kOptimistic;
  if (!advice.choice && promises && r.is_exact && !r.is_enough())
    warnings.push_back(fmt::format(
        "Nothing was certified: {} rows count, {} without a single loss would be needed for {} at "
        "epsilon {} / {}; {} rows certify {} at best. The advice is full depth",
        r.n_available, r.n_needed, percent(target.max_loss, 1), target.epsilon, r.n_test,
        r.n_available, percent(r.smallest, 2)));
  else if (!advice.choice)
    warnings.push_back(promises ? fmt::format("Nothing was certified: {} rows count, and every "
                                              "cheaper point loses too many of them. The advice "
                                              "is full depth",
                                              r.n_available)
                                : std::string("Nothing cheaper keeps the quality. The advice is "
                                              "full depth"));
  else if (figures.saving.value <= 0.0005)
    warnings.push_back(fmt::format("The saving is {}: nothing is gained over full depth",
                                   percent(figures.saving.value, 1)));
  return warnings;
}

}  // namespace fathom
