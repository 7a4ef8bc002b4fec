// SPDX-License-Identifier: Apache-2.0
#include "study/sweep.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/random.h"
#include "probe/calibrate.h"

namespace fathom {
namespace {

// Some examples of a split.
struct Examples {
  const SweepSplit& split;
  std::vector<size_t> rows;
};

Examples calibration_of(const SweepTask& t) { return {t.train, t.rows.calibration}; }

Examples evaluated_of(const SweepTask& t) {
  std::vector<size_t> rows(t.evaluated.gold.size());
  std::iota(rows.begin(), rows.end(), size_t{0});
  return {t.evaluated, std::move(rows)};
}

size_t width_of(const SweepTask& t) { return t.task.is_pair() ? 2 : 1; }

// A rule without thresholds that has exits at these layers.
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

double example_flops(const SweepTask& t, const EarlyExit& policy, const Examples& of, size_t i,
                     size_t layer) {
  double flops = 0;
  for (size_t s = 0; s < width_of(t); ++s) {
    DepthTrace trace;
    trace.exit_layer = trace.n_time_mix = trace.n_channel_mix = static_cast<uint32_t>(layer);
    flops += depth_flops(t.cost, policy, trace, of.split.n_token[of.rows[i] * width_of(t) + s]);
  }
  return flops;
}

// The answers of one layer's head.
Outcomes layer_outcomes(const SweepTask& t, const Examples& of, size_t layer) {
  const std::vector<double> all = predict(t.task, of.split.cache, layer, t.fits[layer]);
  // What a head costs is counted as for an exit that is the only one.
  const Measure measure = t.task.n_class() > 1 ? Measure::kMaxProbability : Measure::kPatience;
  const EarlyExit policy("fixed", make_rule(t, measure, {layer}, {}));
  Outcomes out;
  for (size_t i = 0; i < of.rows.size(); ++i) {
    out.answer.push_back(all[of.rows[i]]);
    out.flops.push_back(example_flops(t, policy, of, i, layer));
    out.layer.push_back(static_cast<uint32_t>(layer));
  }
  return out;
}

// Example i leaves at layer(i); answers and costs are those of fixed depth there.
template <class Layer>
Outcomes pick_layers(std::span<const MethodPoint> layers, Outcomes MethodPoint::*split, size_t n,
                     Layer&& layer) {
  Outcomes out;
  for (size_t i = 0; i < n; ++i) {
    const Outcomes& from = layers[layer(i)].*split;
    out.answer.push_back(from.answer[i]);
    out.flops.push_back(from.flops[i]);
    out.layer.push_back(from.layer[i]);
  }
  return out;
}

std::string text_of(std::string_view name, double value) {
  std::ostringstream out;
  out.precision(4);
  out << name << ' ' << value;
  return out.str();
}

std::string setting_of(const ExitRule& rule, const OperatingPoint& at) {
  if (!rule.has_threshold()) return concat("streak ", at.streak);
  return at.threshold == 2 ? "never" : text_of("threshold", at.threshold);
}

// Exit tables of one rule on one split, and what leaving anywhere costs.
struct ExitRun {
  ExitTable table;
  std::vector<double> flops;  // (n_exit, n_example)
};

ExitRun run_on(const SweepTask& t, const ExitRule& rule, const Examples& of) {
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

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
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

void keep_losses(const ExitRule& rule, std::span<const OperatingPoint> grid,
                 const ExitRun& calibration, const ExitRun& evaluated, Method& method) {
  method.n_grid = grid.size();
  for (const ExitRun* run : {&calibration, &evaluated}) {
    const std::vector<float> part = loss_matrix(rule, run->table, grid);
    method.losses.insert(method.losses.end(), part.begin(), part.end());
  }
}

}  // namespace

std::vector<double> calibration_gold(const SweepTask& t) {
  std::vector<double> gold;
  for (size_t row : t.rows.calibration) gold.push_back(t.train.gold[row]);
  return gold;
}

double leading_score(const SweepTask& t, std::span<const double> answer,
                     std::span<const double> gold) {
  const double score = score_of(t.task.metrics.front(), answer, gold);
  return std::isnan(score) ? 0 : score;
}

std::vector<MethodPoint> layer_points(const SweepTask& t) {
  std::vector<MethodPoint> layers(t.n_layer() + 1);
  t.pool.run(layers.size(), [&](size_t l) {
    layers[l] = {.setting = concat("layer ", l),
                 .calibration = layer_outcomes(t, calibration_of(t), l),
                 .evaluated = layer_outcomes(t, evaluated_of(t), l)};
  });
  return layers;
}

size_t best_layer(const SweepTask& t, std::span<const MethodPoint> layers, size_t deepest) {
  const std::vector<double> gold = calibration_gold(t);
  size_t best = 1;
  double highest = -2;  // every metric is at least -1
  for (size_t l = 1; l <= deepest; ++l) {
    const double score = leading_score(t, layers[l].calibration.answer, gold);
    if (score <= highest) continue;
    best = l;
    highest = score;
  }
  return best;
}

Method embedding_method(std::span<const MethodPoint> layers) {
  return {.name = "embedding", .points = {layers[0]}};
}

Method fixed_method(std::span<const MethodPoint> layers) {
  return {.name = "fixed", .points = {layers.begin() + 1, layers.end()}};
}

Method best_fixed_method(const SweepTask& t, std::span<const MethodPoint> layers) {
  Method method{.name = "best-fixed"};
  for (size_t budget = 1; budget <= t.n_layer(); ++budget) {
    MethodPoint point = layers[best_layer(t, layers, budget)];
    point.setting = concat("best of 1-", budget, ": ", point.setting);
    method.points.push_back(std::move(point));
  }
  return method;
}

Method random_method(const SweepTask& t, std::span<const MethodPoint> layers,
                     const SweepOptions& options) {
  Method method{.name = "random"};
  for (size_t k = 0; k < options.n_point; ++k) {
    // 1 / chance, the mean depth of an endless stack, falls evenly from L to 1; the first point
    // never leaves early.
    const double n = static_cast<double>(std::max<size_t>(options.n_point - 1, 1)),
                 share = static_cast<double>(k) / n,
                 depth = static_cast<double>(t.n_layer()) * (1 - share) + share,
                 chance = k == 0 ? 0 : 1 / depth;
    Random random(options.seed + k);
    const auto layer = [&](size_t) {
      size_t l = 1;
      while (l < t.n_layer() && static_cast<double>(random.next() >> 11) * 0x1p-53 >= chance) ++l;
      return l;
    };
    MethodPoint point{.setting = text_of("chance", chance)};
    point.calibration =
        pick_layers(layers, &MethodPoint::calibration, t.rows.calibration.size(), layer);
    point.evaluated = pick_layers(layers, &MethodPoint::evaluated, t.evaluated.gold.size(), layer);
    method.points.push_back(std::move(point));
  }
  return method;
}

Method oracle_method(const SweepTask& t, std::span<const MethodPoint> layers,
                     const SweepOptions& options) {
  Method method{.name = "oracle"};
  const std::vector<double> calibration = calibration_gold(t);
  for (size_t first = t.n_layer(); first >= 1; --first) {
    const auto outcomes = [&](Outcomes MethodPoint::*split, std::span<const double> gold) {
      return pick_layers(layers, split, gold.size(), [&](size_t i) {
        const auto error = [&](size_t l) {
          return std::abs((layers[l].*split).answer[i] - gold[i]);
        };
        double near_enough = 0;  // classes have to be right
        if (t.task.n_class() == 1) {
          near_enough = error(first);
          for (size_t l = first; l <= t.n_layer(); ++l)
            near_enough = std::min(near_enough, error(l));
          near_enough += options.tolerance * t.range();
        }
        for (size_t l = first; l < t.n_layer(); ++l)
          if (error(l) <= near_enough) return l;
        return t.n_layer();
      });
    };
    method.points.push_back({.setting = concat("from layer ", first),
                             .calibration = outcomes(&MethodPoint::calibration, calibration),
                             .evaluated = outcomes(&MethodPoint::evaluated, t.evaluated.gold)});
  }
  return method;
}

Method exit_method(const SweepTask& t, Measure measure, const SweepOptions& options) {
  FATHOM_ASSERT(fits_task(measure, t.task));
  Method method{.name = concat("exit:", name_of(measure))};
  ExitRule rule = make_rule(t, measure, all_exits(t), options);
  const ExitExamples tune{t.train.cache, t.rows.tune, t.train.gold, t.range()};
  if (traits_of(measure).needs_learned)
    rule.learned = fit_learned(rule, tune, ExitLoss::kConsistency,
                               t.task.n_class() > 1 ? 0.5 : options.tolerance, t.pool);
  rule.check(t.n_layer(), t.cost.d_model);
  const std::vector<OperatingPoint> grid =
      operating_points(rule, run_exits(rule, tune, ExitLoss::kConsistency, t.pool), options.n_grid);
  const ExitRun calibration = run_on(t, rule, calibration_of(t)),
                evaluated = run_on(t, rule, evaluated_of(t));
  std::vector<Outcomes> on_calibration;
  std::vector<double> cost;
  for (const OperatingPoint& at : grid) {
    on_calibration.push_back(outcomes_at(rule, calibration, at));
    cost.push_back(mean_of(on_calibration.back().flops));
  }
  for (size_t j : spread(cost, options.n_point))
    method.points.push_back(
        {.setting = setting_of(rule, grid[j]),
         .exit = grid[j],
         .calibration = std::move(on_calibration[j]),
         .evaluated = outcomes_at(rule, evaluated, grid[j]),
         .shuffled_score = shuffled_score(t, rule, evaluated, grid[j], options)});
  keep_losses(rule, grid, calibration, evaluated, method);
  if (measure == Measure::kMaxProbability)
    method.reliability = reliability_of(evaluated.table, t.evaluated.gold);
  method.rule = std::move(rule);
  return method;
}

}  // namespace fathom
