// SPDX-License-Identifier: Apache-2.0
#include "study/sweep.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/random.h"
#include "study/sweep_exit.h"

namespace fathom {
namespace {

// The answers of one layer's head.
Outcomes layer_outcomes(const SweepTask& t, const SweepRows& of, size_t layer) {
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
    MethodPoint point{.setting = setting_name("chance", chance)};
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

}  // namespace fathom
