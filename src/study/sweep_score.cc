// SPDX-License-Identifier: Apache-2.0
#include "study/sweep_score.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "eval/ranked_pairs.h"
#include "study/rows.h"

namespace fathom {
namespace {

constexpr double kKept = 0.99;

double or_zero(double x) { return std::isnan(x) ? 0 : x; }

// The least quality that counts as kept; a quality below 0 may fall by as much.
double kept(double score) { return score - (1 - kKept) * std::abs(score); }

Estimate estimate(double value, std::span<const double> replicates) {
  const Interval interval = percentile_interval(replicates);
  return {value, interval.low, interval.high};
}

BinaryCounts counts_of(std::span<const double> answer, std::span<const double> gold,
                       Multiplicities times) {
  BinaryCounts c;
  for (size_t i = 0; i < answer.size(); ++i) {
    const double n = times.empty() ? 1 : static_cast<double>(times[i]);
    const bool positive = answer[i] == 1;
    (gold[i] == 1 ? (positive ? c.tp : c.fn) : (positive ? c.fp : c.tn)) += n;
  }
  return c;
}

double accuracy_of(std::span<const double> answer, std::span<const double> gold,
                   Multiplicities times) {
  uint64_t right = 0;
  for (size_t i = 0; i < answer.size(); ++i)
    right += answer[i] == gold[i] ? (times.empty() ? 1u : times[i]) : 0u;
  return static_cast<double>(right) / static_cast<double>(answer.size());
}

}  // namespace

double interpolate(std::span<const double> xs, std::span<const double> ys, double x) {
  FATHOM_ASSERT(!xs.empty() && xs.size() == ys.size());
  if (x <= xs.front()) return ys.front();
  const size_t i = static_cast<size_t>(std::ranges::lower_bound(xs, x) - xs.begin());
  if (i == xs.size()) return ys.back();
  const double width = xs[i] - xs[i - 1];
  return width > 0 ? ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / width : ys[i];
}

Statistic score_statistic(TaskMetric metric, std::span<const double> answer,
                          std::span<const double> gold) {
  if (metric == TaskMetric::kPearson || metric == TaskMetric::kSpearman) {
    const auto pairs = std::make_shared<RankedPairs>(answer, gold);
    return [pairs, metric](Multiplicities times) {
      return or_zero(metric == TaskMetric::kPearson ? pairs->pearson(times)
                                                    : pairs->spearman(times));
    };
  }
  return [metric, answer, gold](Multiplicities times) {
    if (metric == TaskMetric::kAccuracy) return accuracy_of(answer, gold, times);
    const BinaryCounts counts = counts_of(answer, gold, times);
    return or_zero(metric == TaskMetric::kF1 ? f1(counts) : mcc(counts));
  };
}

Estimate macro_score(std::span<const double> values,
                     std::span<const std::vector<double>> replicates) {
  FATHOM_ASSERT(!values.empty() && values.size() == replicates.size());
  std::vector<double> mean(replicates.front().size());
  for (const std::vector<double>& r : replicates) {
    FATHOM_ASSERT(r.size() == mean.size());
    for (size_t i = 0; i < r.size(); ++i) mean[i] += r[i] / static_cast<double>(values.size());
  }
  return estimate(mean_of(values), mean);
}

std::vector<Replicated> replicate(const SweepTask& task, const Bootstrap& bootstrap,
                                  std::span<const Outcomes* const> outcomes) {
  const std::span<const double> gold = task.evaluated.gold;
  std::vector<Statistic> statistics;
  for (const Outcomes* o : outcomes) {
    statistics.push_back(score_statistic(task.task.metrics.front(), o->answer, gold));
    statistics.push_back([o](Multiplicities times) {
      double sum = 0;
      for (size_t i = 0; i < times.size(); ++i) sum += times[i] * o->flops[i];
      return sum / static_cast<double>(times.size());
    });
  }
  std::vector<std::vector<double>> all = bootstrap.run(statistics, task.pool);
  std::vector<Replicated> out(outcomes.size());
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = {leading_score(task, outcomes[i]->answer, gold), mean_of(outcomes[i]->flops),
              std::move(all[2 * i]), std::move(all[2 * i + 1])};
  return out;
}

double even_quality(std::vector<CostQuality> points, double low, double high, size_t n) {
  FATHOM_ASSERT(n >= 2 && !points.empty());
  std::ranges::stable_sort(points, {}, &CostQuality::flops);
  std::vector<double> x, y;
  for (const CostQuality& p : points) {
    x.push_back(p.flops);
    y.push_back(p.score);
  }
  double sum = 0;
  for (size_t k = 0; k < n; ++k)
    sum +=
        interpolate(x, y, low + (high - low) * static_cast<double>(k) / static_cast<double>(n - 1));
  return sum / static_cast<double>(n);
}

SweepScorer::SweepScorer(const SweepTask& task, std::span<const MethodPoint> layers,
                         const BootstrapOptions& options, size_t n_cost)
    : task_(task),
      bootstrap_(task.evaluated.gold.size(), options),
      n_cost_(n_cost),
      best_layer_(best_layer(task, layers, task.n_layer())),
      calibration_gold_(calibration_gold(task)) {
  std::vector<const Outcomes*> outcomes;
  for (const MethodPoint& layer : layers.subspan(1)) {
    outcomes.push_back(&layer.evaluated);
    calibrated_curve_.push_back(calibrated(layer.calibration));
  }
  curve_ = replicate(task_, bootstrap_, outcomes);
}

SweepScorer::Calibrated SweepScorer::calibrated(const Outcomes& outcomes) const {
  return {leading_score(task_, outcomes.answer, calibration_gold_), mean_of(outcomes.flops)};
}

double SweepScorer::curve_at(double flops, std::optional<size_t> resample) const {
  std::vector<double> x, y;
  for (const Replicated& layer : curve_) {
    x.push_back(resample ? layer.flops_of[*resample] : layer.flops);
    y.push_back(resample ? layer.scores[*resample] : layer.score);
  }
  return interpolate(x, y, flops);
}

double SweepScorer::height_of(std::span<const Replicated> points,
                              std::optional<size_t> resample) const {
  const auto at = [&](const Replicated& p) {
    return resample ? CostQuality{p.flops_of[*resample], p.scores[*resample]}
                    : CostQuality{p.flops, p.score};
  };
  if (points.size() == 1) {
    const CostQuality one = at(points.front());
    return one.score - curve_at(one.flops, resample);
  }
  std::vector<CostQuality> curve, method = {at(curve_.front()), at(curve_.back())};
  for (const Replicated& layer : curve_) curve.push_back(at(layer));
  for (const Replicated& point : points) method.push_back(at(point));
  const double low = curve.front().flops, high = curve.back().flops;
  return even_quality(std::move(method), low, high, n_cost_) -
         even_quality(std::move(curve), low, high, n_cost_);
}

Estimate SweepScorer::elue_of(std::span<const Replicated> points,
                              std::vector<double>& replicates) const {
  replicates.assign(bootstrap_.n_resample(), 0);
  task_.pool.run(replicates.size(), [&](size_t r) { replicates[r] = height_of(points, r); });
  return estimate(height_of(points, {}), replicates);
}

std::optional<Against> SweepScorer::against(size_t layer, std::optional<size_t> number,
                                            const Method& method,
                                            std::span<const Replicated> points) const {
  if (!number) return std::nullopt;
  const Replicated &from = curve_[layer - 1], &to = points[*number];
  const auto loss = [](double old, double now) {
    return old == 0 ? std::nan("") : (old - now) / std::abs(old);
  };
  // Where no block runs a number of times fewer FLOPs says nothing.
  const bool blocks =
      std::ranges::any_of(method.points[*number].evaluated.layer, [](uint32_t l) { return l > 0; });
  const auto factor = [&](double before, double now) {
    return blocks ? before / now : std::nan("");
  };
  std::vector<double> factors, differences, losses;
  for (size_t r = 0; r < from.scores.size(); ++r) {
    factors.push_back(factor(from.flops_of[r], to.flops_of[r]));
    differences.push_back(to.scores[r] - from.scores[r]);
    losses.push_back(loss(from.scores[r], to.scores[r]));
  }
  return Against{
      *number, method.points[*number].setting, estimate(factor(from.flops, to.flops), factors),
      estimate(to.score - from.score, differences), estimate(loss(from.score, to.score), losses)};
}

PointScore SweepScorer::score_point(const MethodPoint& from, const Replicated& point) const {
  PointScore p;
  p.setting = from.setting;
  p.shuffled_score = from.shuffled_score;
  p.score = estimate(point.score, point.scores);
  for (TaskMetric metric : task_.task.metrics)
    p.metrics.emplace_back(name_of(metric),
                           or_zero(score_of(metric, from.evaluated.answer, task_.evaluated.gold)));
  p.flops = point.flops;
  p.share = p.flops / curve_.back().flops;
  p.above_curve = p.score.value - curve_at(p.flops, {});
  p.n_exit.resize(task_.n_layer() + 1);
  for (uint32_t layer : from.evaluated.layer) {
    ++p.n_exit[layer];
    p.mean_layer += layer;
  }
  p.mean_layer /= static_cast<double>(from.evaluated.layer.size());
  const Calibrated c = calibrated(from.calibration);
  p.calibration_score = c.score;
  p.calibration_share = c.flops / calibrated_curve_.back().flops;
  return p;
}

MethodScore SweepScorer::score(const Method& method) const {
  FATHOM_ASSERT(!method.points.empty());
  std::vector<const Outcomes*> outcomes;
  std::vector<Calibrated> calibration, evaluated;
  for (const MethodPoint& p : method.points) {
    outcomes.push_back(&p.evaluated);
    calibration.push_back(calibrated(p.calibration));
  }
  const std::vector<Replicated> points = replicate(task_, bootstrap_, outcomes);
  MethodScore out;
  out.best_layer = best_layer_;
  for (size_t i = 0; i < points.size(); ++i) {
    out.points.push_back(score_point(method.points[i], points[i]));
    evaluated.push_back({points[i].score, points[i].flops});
  }
  out.elue = elue_of(points, out.elue_replicates);
  // Both choices are made the same way, on one split or the other.
  const auto cheapest = [](const auto& from, double reference) {
    std::optional<size_t> chosen;
    for (size_t i = 0; i < from.size(); ++i)
      if (from[i].score >= kept(reference) && (!chosen || from[i].flops < from[*chosen].flops))
        chosen = i;
    return chosen;
  };
  const auto speed_up = [&](size_t layer, std::optional<Against>& chosen,
                            std::optional<Against>& on_split) {
    chosen =
        against(layer, cheapest(calibration, calibrated_curve_[layer - 1].score), method, points);
    on_split = against(layer, cheapest(evaluated, curve_[layer - 1].score), method, points);
  };
  speed_up(task_.n_layer(), out.speed_up_full, out.on_split_full);
  speed_up(best_layer_, out.speed_up_best, out.on_split_best);
  std::optional<size_t> best;
  constexpr double kRounding = 1 + 1e-9;
  for (size_t i = 0; i < calibration.size(); ++i)
    if (calibration[i].flops <= kRounding * calibrated_curve_[best_layer_ - 1].flops &&
        (!best || calibration[i].score > calibration[*best].score))
      best = i;
  out.same_cost = against(best_layer_, best, method, points);
  return out;
}

}  // namespace fathom
