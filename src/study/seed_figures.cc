// SPDX-License-Identifier: Apache-2.0
#include "study/seed_figures.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "study/rows.h"
#include "study/sweep_exit.h"
#include "study/sweep_score.h"
#include "study/sweep_system.h"

namespace fathom {
namespace {

constexpr double kShareOfGroups = 0.99;  // whose exits depth and thresholds are told of

double rounded(double x) { return std::isfinite(x) ? std::round(x * 1e6) / 1e6 : x; }

Sampled sampled(double value, std::vector<double> replicates) {
  for (double& r : replicates) r = rounded(r);
  return {value, std::move(replicates)};
}

// The least quality that keeps this share; a quality below 0 may fall by as much.
double least(double score, double share) { return score - (1 - share) * std::abs(score); }

// A point of exits or of fixed depth that may be chosen.
struct Candidate {
  const MethodPoint* point;
  const Replicated* evaluated;
  std::string setting;
  CostQuality calibration;
};

class SeedStudy {
 public:
  SeedStudy(const SweepTask& t, std::span<const MethodPoint> layers, const SeedOptions& options)
      : t_(t),
        options_(options),
        bootstrap_(t.evaluated.gold.size(), options.bootstrap),
        gold_(calibration_gold(t)) {
    std::vector<const Outcomes*> outcomes;
    for (const MethodPoint& layer : layers.subspan(1)) {
      outcomes.push_back(&layer.evaluated);
      calibrated_curve_.push_back(calibrated(layer));
    }
    curve_ = replicate(t_, bootstrap_, outcomes);
    figures_.seed = options.seed;
  }

  void add(const SweepSystem& system) {
    std::vector<const Outcomes*> outcomes;
    for (const MethodPoint& p : system.fixed) outcomes.push_back(&p.evaluated);
    for (const Outcomes& o : system.refitted) outcomes.push_back(&o);
    for (const Method& m : system.exits)
      for (const MethodPoint& p : m.points) outcomes.push_back(&p.evaluated);
    const std::vector<Replicated> all = replicate(t_, bootstrap_, outcomes);
    const std::span<const Replicated> fixed = std::span(all).first(t_.n_layer()),
                                      refitted = std::span(all).subspan(t_.n_layer(), t_.n_layer());
    add_fixed(system, fixed, refitted);
    size_t begin = 2 * t_.n_layer();
    std::vector<std::span<const Replicated>> exits;
    for (const Method& m : system.exits) {
      exits.push_back(std::span(all).subspan(begin, m.points.size()));
      begin += m.points.size();
      add_exits(system, m, fixed, exits.back());
    }
    if (system.input == HeadInput::kLayer && !system.ensemble)
      add_plain(system, fixed, refitted, exits);
  }

  void add_calibration_error(const InputHeads& heads) {
    if (t_.task.n_class() == 1) return;
    const ExitRule rule = make_rule(t_, Measure::kMaxProbability, all_exits(t_), options_.sweep);
    const SweepRows rows = evaluated_of(t_);
    const std::vector<ReliabilityBin> bins = reliability_of(
        exit_table(rule, answers_of(t_, heads.heads, rows.split, rows.rows), t_.range()),
        t_.evaluated.gold);
    for (size_t l = 1; l <= t_.n_layer(); ++l)
      figures_.calibration_error.push_back(calibration_error(bins, l));
  }

  SeedFigures figures() && { return std::move(figures_); }

 private:
  CostQuality calibrated(const MethodPoint& p) const {
    return {mean_of(p.calibration.flops), leading_score(t_, p.calibration.answer, gold_)};
  }

  // Quality of points in the evaluated split, value and replicates.
  Sampled quality(std::span<const Replicated* const> points) const {
    const size_t n_cost = options_.sweep.n_point;
    std::vector<CostQuality> now;
    for (const Replicated* p : points) now.push_back({p->flops, p->score});
    const double value = even_quality(now, curve_.front().flops, curve_.back().flops, n_cost);
    std::vector<double> replicates(bootstrap_.n_resample());
    t_.pool.run(replicates.size(), [&](size_t r) {
      std::vector<CostQuality> then;
      for (const Replicated* p : points) then.push_back({p->flops_of[r], p->scores[r]});
      replicates[r] = even_quality(std::move(then), curve_.front().flops_of[r],
                                   curve_.back().flops_of[r], n_cost);
    });
    return sampled(value, std::move(replicates));
  }

  void add_fixed(const SweepSystem& system, std::span<const Replicated> fixed,
                 std::span<const Replicated> refitted) {
    // For every budget the number of the layer that is best on calibration rows.
    std::vector<size_t> best;
    double highest = -2;  // every metric is at least -1
    for (size_t i = 0; i < system.fixed.size(); ++i) {
      const double score = calibrated(system.fixed[i]).score;
      best.push_back(score > highest ? i : best.back());
      highest = std::max(highest, score);
    }
    for (const bool all_rows : {false, true})
      for (const bool envelope : {false, true}) {
        std::vector<const Replicated*> points;
        for (size_t i = 0; i < fixed.size(); ++i)
          points.push_back(&(all_rows ? refitted : fixed)[envelope ? best[i] : i]);
        figures_.fixed.push_back({system.name(), all_rows, envelope, quality(points)});
      }
  }

  void add_exits(const SweepSystem& system, const Method& m, std::span<const Replicated> fixed,
                 std::span<const Replicated> points) {
    // Anyone may leave at the first layer or at the last one, whatever the measure.
    std::vector<const Replicated*> all = {&fixed.front(), &fixed.back()};
    std::vector<CostQuality> on_calibration = {calibrated(system.fixed.front()),
                                               calibrated(system.fixed.back())};
    for (size_t i = 0; i < points.size(); ++i) {
      all.push_back(&points[i]);
      on_calibration.push_back(calibrated(m.points[i]));
    }
    figures_.exits.push_back(
        {.system = system.name(),
         .measure = std::string(name_of(m.rule.measure)),
         .on_calibration = even_quality(std::move(on_calibration), calibrated_curve_.front().flops,
                                        calibrated_curve_.back().flops, options_.sweep.n_point),
         .quality = quality(all)});
  }

  const Candidate& cheapest(std::span<const Candidate> candidates, double share,
                            const Candidate& full) const {
    const Candidate* chosen = &full;
    for (const Candidate& c : candidates)
      if (c.calibration.score >= least(full.calibration.score, share) &&
          c.calibration.flops < chosen->calibration.flops)
        chosen = &c;
    return *chosen;
  }

  void add_plain(const SweepSystem& system, std::span<const Replicated> fixed,
                 std::span<const Replicated> refitted,
                 std::span<const std::span<const Replicated>> exits) {
    std::vector<Candidate> layers, all_rows, left;
    for (size_t i = 0; i < system.fixed.size(); ++i) {
      const MethodPoint& p = system.fixed[i];
      layers.push_back({&p, &fixed[i], p.setting, calibrated(p)});
      all_rows.push_back({&p, &refitted[i], p.setting, calibrated(p)});
    }
    for (size_t m = 0; m < exits.size(); ++m)
      for (size_t i = 0; i < exits[m].size(); ++i) {
        const MethodPoint& p = system.exits[m].points[i];
        left.push_back({&p, &exits[m][i],
                        concat(name_of(system.exits[m].rule.measure), ", ", p.setting),
                        calibrated(p)});
      }
    for (double share : kKeptShares) {
      if (!exits.empty())
        add_kept(share, "exits", cheapest(left, share, layers.back()), layers.back(),
                 refitted.back());
      add_kept(share, "fixed", cheapest(layers, share, layers.back()), layers.back(),
               refitted.back());
      add_kept(share, "fixed, all rows", cheapest(all_rows, share, all_rows.back()),
               all_rows.back(), refitted.back());
    }
    if (exits.empty()) return;
    add_depth(cheapest(left, kShareOfGroups, layers.back()).point->evaluated,
              oracle_method(t_, with_embedding(system), options_.sweep).points.back().evaluated);
    for (size_t m = 0; m < exits.size(); ++m) add_thresholds(system, system.exits[m], exits[m]);
  }

  // oracle_method() takes layers from 0 on, but looks at none before 1.
  static std::vector<MethodPoint> with_embedding(const SweepSystem& system) {
    std::vector<MethodPoint> layers = {system.fixed.front()};
    layers.insert(layers.end(), system.fixed.begin(), system.fixed.end());
    return layers;
  }

  void add_kept(double share, std::string by, const Candidate& chosen, const Candidate& full,
                const Replicated& full_all_rows) {
    const auto loss = [](double before, double now) {
      return before == 0 ? std::nan("") : (before - now) / std::abs(before);
    };
    const Replicated &from = *full.evaluated, &to = *chosen.evaluated;
    std::vector<double> factors, losses, losses_all_rows;
    for (size_t r = 0; r < from.scores.size(); ++r) {
      factors.push_back(std::log(from.flops_of[r] / to.flops_of[r]));
      losses.push_back(loss(from.scores[r], to.scores[r]));
      losses_all_rows.push_back(loss(full_all_rows.scores[r], to.scores[r]));
    }
    figures_.kept.push_back(
        {.share = share,
         .by = std::move(by),
         .setting = chosen.setting,
         .log_factor = sampled(std::log(from.flops / to.flops), std::move(factors)),
         .loss = sampled(loss(from.score, to.score), std::move(losses)),
         .loss_all_rows =
             sampled(loss(full_all_rows.score, to.score), std::move(losses_all_rows))});
  }

  void add_depth(const Outcomes& at, const Outcomes& oracle) {
    const size_t n = at.answer.size(), width = width_of(t_);
    std::vector<double> tokens(n);
    for (size_t i = 0; i < n; ++i)
      for (size_t s = 0; s < width; ++s)
        tokens[i] += static_cast<double>(t_.evaluated.n_token[i * width + s]);
    std::vector<double> sorted = tokens;
    std::ranges::sort(sorted);
    const bool classes = t_.task.n_class() > 1;
    const auto is_right = [&](const Outcomes& o, size_t i) {
      return o.answer[i] == t_.evaluated.gold[i];
    };
    std::map<std::pair<size_t, std::string>, DepthGroup> groups;  // in the order of their numbers
    const auto put = [&](const char* by, size_t number, const std::string& group, size_t i) {
      DepthGroup& g = groups[{number, group}];
      g.by = by;
      g.group = group;
      ++g.n;
      g.depth += at.layer[i];
      g.oracle_depth += oracle.layer[i];
      g.right += is_right(at, i);
    };
    constexpr size_t kGroups = 4;
    std::vector<double> ends;  // the last length of each group
    for (size_t k = 1; k <= kGroups; ++k) ends.push_back(sorted[(n - 1) * k / kGroups]);
    for (size_t i = 0; i < n; ++i) {
      const auto k = static_cast<size_t>(std::ranges::lower_bound(ends, tokens[i]) - ends.begin());
      const double from = k == 0 ? sorted.front() : ends[k - 1] + 1;
      put("length", k, concat(from, " to ", ends[k], " tokens"), i);
    }
    for (size_t i = 0; i < n; ++i)
      if (classes && !is_right(oracle, i))
        put("oracle", kGroups + t_.n_layer() + 1, "never right", i);
      else
        put("oracle", kGroups + oracle.layer[i], concat("layer ", oracle.layer[i]), i);
    for (auto& [number, g] : groups) {
      g.depth /= g.n;
      g.oracle_depth /= g.n;
      g.right = classes ? g.right / g.n : std::nan("");
      figures_.depth.push_back(std::move(g));
    }
  }

  // Only of measures whose thresholds mean the same on every task: a confidence of classes.
  void add_thresholds(const SweepSystem& system, const Method& m,
                      std::span<const Replicated> points) {
    if (traits_of(m.rule.measure).compare != Compare::kAtLeast || t_.task.n_class() == 1) return;
    std::vector<Candidate> candidates;
    for (size_t i = 0; i < points.size(); ++i)
      candidates.push_back({&m.points[i], &points[i], {}, calibrated(m.points[i])});
    const MethodPoint& full = system.fixed.back();
    const Candidate never{&full, &curve_.back(), {}, calibrated(full)};
    const Candidate& chosen = cheapest(candidates, kShareOfGroups, never);
    ThresholdCurve curve{.measure = std::string(name_of(m.rule.measure)),
                         .chosen = chosen.point == &full ? 2 : chosen.point->exit.threshold,
                         .full = curve_.back().score};
    for (size_t i = points.size(); i-- > 0;) {  // the safest comes first
      curve.threshold.push_back(m.points[i].exit.threshold);
      curve.share.push_back(points[i].flops / curve_.back().flops);
      curve.score.push_back(points[i].score);
    }
    figures_.thresholds.push_back(std::move(curve));
  }

  const SweepTask& t_;
  const SeedOptions& options_;
  Bootstrap bootstrap_;
  std::vector<double> gold_;
  std::vector<Replicated> curve_;  // plain fixed depth, (n_layer)
  std::vector<CostQuality> calibrated_curve_;
  SeedFigures figures_;
};

}  // namespace

std::string FixedCurve::name() const {
  return concat(system, envelope ? ", envelope" : "", all_rows ? ", all rows" : "");
}

SeedFigures seed_figures(const SweepTask& t, std::span<const MethodPoint> layers,
                         const SeedOptions& options, const std::function<void()>& step) {
  SeedStudy study(t, layers, options);
  for (HeadInput input : options.inputs) {
    InputHeads heads{input, fit_input_heads(t, input, options.fitting), {}};
    heads.refitted = refit_on_all(t, heads.heads, options.fitting);
    if (input == HeadInput::kLayer) {
      study.add(plain_system(t, layers, heads, options.measures, options.sweep));
      study.add_calibration_error(heads);
    }
    for (const SweepSystem& system : systems_of(t, heads, options.measures, options.sweep))
      study.add(system);
    if (step) step();
  }
  return std::move(study).figures();
}

}  // namespace fathom
