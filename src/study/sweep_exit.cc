// SPDX-License-Identifier: Apache-2.0
#include "study/sweep_exit.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/random.h"
#include "study/rows.h"

namespace fathom {
namespace {

std::string setting_of(const ExitRule& rule, const OperatingPoint& at) {
  if (!rule.has_threshold()) return concat("streak ", at.streak);
  return at.threshold == 2 ? "never" : setting_name("threshold", at.threshold);
}

ExitRun run_on(const SweepTask& t, const ExitRule& rule, const SweepRows& of) {
  ExitRun run{run_exits(rule, {of.split.cache, of.rows, of.split.gold, t.range()},
                        ExitLoss::kConsistency, t.pool),
              {}};
  const EarlyExit policy("sweep", rule);
  run.flops.resize(run.table.layers.size() * run.table.n_example);
  for (size_t e = 0; e < run.table.layers.size(); ++e)
    for (size_t i = 0; i < run.table.n_example; ++i)
      run.flops[run.table.at(e, i)] = example_flops(t, policy, of, i, run.table.layers[e]);
  return run;
}

Outcomes outcomes_at(const ExitRule& rule, const ExitRun& run, const OperatingPoint& at) {
  Outcomes out;
  const std::vector<size_t> exit = stops(rule, run.table, at);
  for (size_t i = 0; i < exit.size(); ++i) {
    out.answer.push_back(double{run.table.answer[run.table.at(exit[i], i)]});
    out.flops.push_back(run.flops[run.table.at(exit[i], i)]);
    out.layer.push_back(static_cast<uint32_t>(run.table.layers[exit[i]]));
  }
  return out;
}

// n of the grid, or all there are, safest first: for costs evenly between the largest and the
// smallest the nearest one that is not taken yet.
std::vector<size_t> spread(std::span<const double> cost, size_t n) {
  n = std::min(n, cost.size());
  const auto [low, high] = std::ranges::minmax(cost);
  std::vector<bool> taken(cost.size());
  for (size_t k = 0; k < n; ++k) {
    const double share = n == 1 ? 0 : static_cast<double>(k) / static_cast<double>(n - 1),
                 target = high - (high - low) * share;
    std::optional<size_t> best;
    for (size_t j = 0; j < cost.size(); ++j)
      if (!taken[j] && (!best || std::abs(cost[j] - target) < std::abs(cost[*best] - target)))
        best = j;
    taken[*best] = true;
  }
  std::vector<size_t> chosen;
  for (size_t j = 0; j < cost.size(); ++j)
    if (taken[j]) chosen.push_back(j);
  return chosen;
}

double shuffled_score(const SweepTask& t, const ExitRule& rule, const ExitRun& run,
                      const OperatingPoint& at, const SweepOptions& options) {
  std::vector<size_t> exit = stops(rule, run.table, at);
  Random random(options.seed);
  double sum = 0;
  std::vector<double> answer(exit.size());
  for (size_t s = 0; s < options.n_shuffle; ++s) {
    for (size_t i = exit.size(); i > 1; --i) std::swap(exit[i - 1], exit[random.below(i)]);
    for (size_t i = 0; i < exit.size(); ++i)
      answer[i] = double{run.table.answer[run.table.at(exit[i], i)]};
    sum += leading_score(t, answer, t.evaluated.gold);
  }
  return sum / static_cast<double>(options.n_shuffle);
}

void keep_losses(const ExitRule& rule, std::span<const OperatingPoint> grid,
                 const ExitRun& calibration, const ExitRun& evaluated, Method& method) {
  method.n_grid = grid.size();
  for (const ExitRun* run : {&calibration, &evaluated}) {
    const std::vector<float> part = loss_matrix(rule, run->table, grid);
    method.losses.insert(method.losses.end(), part.begin(), part.end());
  }
}

}  // namespace

std::string setting_name(std::string_view name, double value) {
  std::ostringstream out;
  out.precision(4);
  out << name << ' ' << value;
  return out.str();
}

SweepRows tune_of(const SweepTask& t) { return {t.train, t.rows.tune}; }

SweepRows calibration_of(const SweepTask& t) { return {t.train, t.rows.calibration}; }

SweepRows evaluated_of(const SweepTask& t) {
  return {t.evaluated, every_row(t.evaluated.gold.size())};
}

ExitRule make_rule(const SweepTask& t, Measure measure, std::vector<size_t> layers,
                   const SweepOptions& options) {
  return make_exit_rule({.measure = measure,
                         .layers = std::move(layers),
                         .streak = traits_of(measure).swept_in_a_row ? options.streak : 1,
                         .alpha = options.alpha},
                        &t.task, t.fits, t.n_layer());
}

std::vector<size_t> all_exits(const SweepTask& t) {
  std::vector<size_t> layers(t.n_layer());
  std::iota(layers.begin(), layers.end(), size_t{1});
  return layers;
}

double example_flops(const SweepTask& t, const EarlyExit& policy, const SweepRows& of, size_t i,
                     size_t layer) {
  double flops = 0;
  for (size_t s = 0; s < width_of(t); ++s) {
    DepthTrace trace;
    trace.exit_layer = trace.n_time_mix = trace.n_channel_mix = static_cast<uint32_t>(layer);
    flops += depth_flops(t.cost, policy, trace, of.split.n_token[of.rows[i] * width_of(t) + s]);
  }
  return flops;
}

Method exit_method(const SweepTask& t, ExitRule rule, const ExitRuns& runs,
                   const SweepOptions& options) {
  Method method{.name = concat("exit:", name_of(rule.measure))};
  const std::vector<OperatingPoint> grid = operating_points(rule, runs.tune, options.n_grid);
  std::vector<Outcomes> on_calibration;
  std::vector<double> cost;
  for (const OperatingPoint& at : grid) {
    on_calibration.push_back(outcomes_at(rule, runs.calibration, at));
    cost.push_back(mean_of(on_calibration.back().flops));
  }
  for (size_t j : spread(cost, options.n_point))
    method.points.push_back(
        {.setting = setting_of(rule, grid[j]),
         .exit = grid[j],
         .calibration = std::move(on_calibration[j]),
         .evaluated = outcomes_at(rule, runs.evaluated, grid[j]),
         .shuffled_score = shuffled_score(t, rule, runs.evaluated, grid[j], options)});
  keep_losses(rule, grid, runs.calibration, runs.evaluated, method);
  method.rule = std::move(rule);
  return method;
}

Method exit_method(const SweepTask& t, Measure measure, const SweepOptions& options) {
  FATHOM_ASSERT(fits_task(measure, t.task));
  ExitRule rule = make_rule(t, measure, all_exits(t), options);
  const ExitExamples tune{t.train.cache, t.rows.tune, t.train.gold, t.range()};
  if (traits_of(measure).needs_learned)
    rule.learned = fit_learned(rule, tune, ExitLoss::kConsistency,
                               t.task.n_class() > 1 ? 0.5 : options.tolerance, t.pool);
  rule.check(t.n_layer(), t.cost.d_model);
  const ExitRuns runs{run_exits(rule, tune, ExitLoss::kConsistency, t.pool),
                      run_on(t, rule, calibration_of(t)), run_on(t, rule, evaluated_of(t))};
  Method method = exit_method(t, std::move(rule), runs, options);
  if (measure == Measure::kMaxProbability)
    method.reliability = reliability_of(runs.evaluated.table, t.evaluated.gold);
  return method;
}

std::vector<Measure> distinct_measures(std::span<const Measure> measures, const Task& task) {
  std::vector<Measure> distinct;
  for (Measure m : measures)
    if (std::ranges::none_of(distinct, [&](Measure d) { return coincide(d, m, task.n_class()); }))
      distinct.push_back(m);
  return distinct;
}

std::vector<ReliabilityBin> reliability_of(const ExitTable& table, std::span<const double> gold) {
  constexpr size_t kBins = 10;
  std::vector<ReliabilityBin> all;
  for (size_t e = 0; e < table.layers.size(); ++e) {
    std::vector<ReliabilityBin> bins(kBins);
    for (size_t i = 0; i < table.n_example; ++i) {
      const double c = double{table.confidence[table.at(e, i)]};
      ReliabilityBin& bin = bins[std::min(kBins - 1, static_cast<size_t>(c * kBins))];
      ++bin.n;
      bin.confidence += c;
      bin.accuracy += double{table.answer[table.at(e, i)]} == gold[i];
    }
    for (ReliabilityBin& bin : bins) {
      if (bin.n == 0) continue;
      bin.layer = table.layers[e];
      bin.confidence /= static_cast<double>(bin.n);
      bin.accuracy /= static_cast<double>(bin.n);
      all.push_back(bin);
    }
  }
  return all;
}

double calibration_error(std::span<const ReliabilityBin> bins, size_t layer) {
  double sum = 0, n = 0;
  for (const ReliabilityBin& bin : bins) {
    if (bin.layer != layer) continue;
    sum += static_cast<double>(bin.n) * std::abs(bin.confidence - bin.accuracy);
    n += static_cast<double>(bin.n);
  }
  return sum / n;
}

}  // namespace fathom
