// SPDX-License-Identifier: Apache-2.0
#include "study/over_seeds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "eval/bootstrap.h"
#include "study/rows.h"

namespace fathom {
namespace {

// a - b, replicate by replicate.
Sampled difference(const Sampled& a, const Sampled& b) {
  Sampled d{a.value - b.value, a.replicates};
  FATHOM_REQUIRE(a.replicates.size() == b.replicates.size(), "seeds: expected ",
                 a.replicates.size(), " replicates of every figure, got ", b.replicates.size());
  for (size_t r = 0; r < d.replicates.size(); ++r) d.replicates[r] -= b.replicates[r];
  return d;
}

SeedMean mean_over(std::span<const Sampled> seeds, uint64_t seed, bool logs = false) {
  std::vector<const Sampled*> all;
  for (const Sampled& s : seeds) all.push_back(&s);
  return seed_mean(all, seed, logs);
}

// In every seed the curve of a list that is best on calibration rows, of those that `wanted` takes.
template <class Wanted>
const ExitCurve* best_exits(const SeedFigures& figures, const Wanted& wanted) {
  const ExitCurve* best = nullptr;
  for (const ExitCurve& e : figures.exits)
    if (wanted(e) && (!best || e.on_calibration > best->on_calibration)) best = &e;
  return best;
}

struct Exits {
  std::string name;
  std::vector<const ExitCurve*> chosen;  // (n_seed)
};

std::vector<Exits> exits_of(std::span<const SeedFigures> seeds) {
  std::vector<std::string> systems;
  for (const ExitCurve& e : seeds.front().exits)
    if (std::ranges::find(systems, e.system) == systems.end()) systems.push_back(e.system);
  std::vector<Exits> all;
  const auto add = [&](const std::string& name, const auto& wanted) {
    Exits exits{name, {}};
    for (const SeedFigures& s : seeds) {
      exits.chosen.push_back(best_exits(s, wanted));
      FATHOM_REQUIRE(exits.chosen.back(), "seeds: seed ", s.seed, " has no exits of ", name);
    }
    all.push_back(std::move(exits));
  };
  for (const std::string& system : systems)
    add(system, [&](const ExitCurve& e) { return e.system == system; });
  if (!systems.empty()) add(std::string(kBestExits), [](const ExitCurve&) { return true; });
  return all;
}

void require_same(std::span<const SeedFigures> seeds) {
  FATHOM_ASSERT(!seeds.empty());
  const SeedFigures& first = seeds.front();
  for (const SeedFigures& s : seeds) {
    const bool same = s.fixed.size() == first.fixed.size() &&
                      s.exits.size() == first.exits.size() && s.kept.size() == first.kept.size() &&
                      s.calibration_error.size() == first.calibration_error.size();
    FATHOM_REQUIRE(same, "seeds: seed ", s.seed, " and seed ", first.seed,
                   " were expected to have the same curves");
  }
}

void add_gains(std::span<const SeedFigures> seeds, uint64_t seed, OverSeeds& out) {
  const std::vector<Exits> exits = exits_of(seeds);
  for (const Exits& e : exits) {
    ExitMean mean{.name = e.name};
    std::vector<Sampled> quality;
    for (const ExitCurve* c : e.chosen) {
      mean.chosen.push_back(e.name == kBestExits ? concat(c->system, ": ", c->measure)
                                                 : c->measure);
      quality.push_back(c->quality);
    }
    mean.quality = mean_over(quality, seed);
    out.exits.push_back(std::move(mean));
    for (size_t b = 0; b < seeds.front().fixed.size(); ++b) {
      std::vector<Sampled> gains;
      for (size_t s = 0; s < seeds.size(); ++s)
        gains.push_back(difference(e.chosen[s]->quality, seeds[s].fixed[b].quality));
      out.gains.push_back({e.name, seeds.front().fixed[b].name(), mean_over(gains, seed)});
    }
  }
  const std::string plain = "layer";
  for (size_t i = 0; i < seeds.front().exits.size(); ++i) {
    if (seeds.front().exits[i].system != plain) continue;
    std::vector<Sampled> gains;
    for (const SeedFigures& s : seeds)
      gains.push_back(difference(s.exits[i].quality, s.fixed.front().quality));
    out.measures.push_back({seeds.front().exits[i].measure, mean_over(gains, seed)});
  }
}

void add_kept(std::span<const SeedFigures> seeds, uint64_t seed, OverSeeds& out) {
  for (size_t i = 0; i < seeds.front().kept.size(); ++i) {
    KeptMean kept{.share = seeds.front().kept[i].share, .by = seeds.front().kept[i].by};
    std::vector<const Sampled*> factor, loss, loss_all_rows;
    for (const SeedFigures& s : seeds) {
      kept.settings.push_back(s.kept[i].setting);
      factor.push_back(&s.kept[i].log_factor);
      loss.push_back(&s.kept[i].loss);
      loss_all_rows.push_back(&s.kept[i].loss_all_rows);
    }
    kept.factor = seed_mean(factor, seed, true);
    kept.loss = seed_mean(loss, seed);
    kept.loss_all_rows = seed_mean(loss_all_rows, seed);
    out.kept.push_back(std::move(kept));
  }
}

void add_depth(std::span<const SeedFigures> seeds, OverSeeds& out) {
  std::vector<double> count;
  for (const SeedFigures& s : seeds)
    for (const DepthGroup& g : s.depth) {
      auto at = std::ranges::find_if(
          out.depth, [&](const DepthGroup& o) { return o.by == g.by && o.group == g.group; });
      if (at == out.depth.end()) {
        out.depth.push_back({.by = g.by, .group = g.group});
        count.push_back(0);
        at = out.depth.end() - 1;
      }
      count[static_cast<size_t>(at - out.depth.begin())] += 1;
      at->n += g.n;
      at->depth += g.depth;
      at->oracle_depth += g.oracle_depth;
      at->right += g.right;
    }
  for (size_t i = 0; i < out.depth.size(); ++i) {
    DepthGroup& g = out.depth[i];
    g.n /= static_cast<double>(seeds.size());  // 0 in the seeds without it
    for (double* x : {&g.depth, &g.oracle_depth, &g.right}) *x /= count[i];
  }
  const auto number = [](const DepthGroup& g) {
    // By length as they came; by the oracle's layer, "never right" last.
    if (g.by == "length") return 0.0;
    return g.group == "never right" ? 1e9 : 1 + g.oracle_depth;
  };
  std::ranges::stable_sort(out.depth, {}, number);
}

const ThresholdCurve* curve_of(std::span<const ThresholdCurve> curves, const std::string& measure) {
  const auto found = std::ranges::find(curves, measure, &ThresholdCurve::measure);
  return found == curves.end() ? nullptr : &*found;
}

std::optional<MovedThreshold> moved(const TaskThresholds& from, const TaskThresholds& to,
                                    const std::string& measure) {
  MovedThreshold m{.measure = measure,
                   .from = from.task,
                   .to = to.task,
                   .loss_smallest = std::numeric_limits<double>::infinity(),
                   .loss_largest = -std::numeric_limits<double>::infinity()};
  for (size_t s = 0; s < from.seeds.size(); ++s) {
    const ThresholdCurve *a = curve_of(from.seeds[s], measure), *b = curve_of(to.seeds[s], measure);
    if (!a || !b || b->full == 0) return std::nullopt;
    const double n = static_cast<double>(from.seeds.size()),
                 share = interpolate(b->threshold, b->share, a->chosen),
                 score = interpolate(b->threshold, b->score, a->chosen),
                 loss = (b->full - score) / std::abs(b->full);
    m.share += share / n;
    m.loss += loss / n;
    m.loss_smallest = std::min(m.loss_smallest, loss);
    m.loss_largest = std::max(m.loss_largest, loss);
  }
  return m;
}

}  // namespace

SeedMean seed_mean(std::span<const Sampled* const> seeds, uint64_t seed, bool logs) {
  FATHOM_ASSERT(!seeds.empty());
  SeedMean out;
  for (const Sampled* s : seeds) {
    out.by_seed.push_back(s->value);
    FATHOM_REQUIRE(s->replicates.size() == seeds.front()->replicates.size(), "seeds: expected ",
                   seeds.front()->replicates.size(), " replicates of every figure, got ",
                   s->replicates.size());
  }
  Random random(seed);
  std::vector<double> replicates(seeds.front()->replicates.size(), 0);
  for (size_t r = 0; r < replicates.size(); ++r)
    for (size_t k = 0; k < seeds.size(); ++k)
      replicates[r] += seeds[random.below(seeds.size())]->replicates[r];
  for (double& r : replicates) r /= static_cast<double>(seeds.size());
  const Interval interval = percentile_interval(replicates);
  out.mean = {mean_of(out.by_seed), interval.low, interval.high};
  if (logs) {
    for (double* x : {&out.mean.value, &out.mean.low, &out.mean.high}) *x = std::exp(*x);
    for (double& x : out.by_seed) x = std::exp(x);
  }
  return out;
}

const Gain* OverSeeds::gain(std::string_view exits_name, std::string_view baseline) const {
  for (const Gain& g : gains)
    if (g.exits == exits_name && g.baseline == baseline) return &g;
  return nullptr;
}

OverSeeds over_seeds(std::span<const SeedFigures> seeds, uint64_t seed) {
  require_same(seeds);
  OverSeeds out;
  for (const SeedFigures& s : seeds) out.seeds.push_back(s.seed);
  for (size_t b = 0; b < seeds.front().fixed.size(); ++b) {
    std::vector<const Sampled*> quality;
    for (const SeedFigures& s : seeds) quality.push_back(&s.fixed[b].quality);
    const FixedCurve& first = seeds.front().fixed[b];
    out.fixed.push_back({first.name(), first.system, seed_mean(quality, seed)});
  }
  const auto strongest = std::ranges::max_element(
      out.fixed, {}, [](const FixedMean& f) { return f.quality.mean.value; });
  if (strongest != out.fixed.end()) out.strongest = strongest->name;
  add_gains(seeds, seed, out);
  add_kept(seeds, seed, out);
  for (size_t l = 0; l < seeds.front().calibration_error.size(); ++l) {
    std::vector<double> errors;
    for (const SeedFigures& s : seeds) errors.push_back(s.calibration_error[l]);
    const auto [low, high] = std::ranges::minmax(errors);
    out.calibration_error.push_back({l + 1, mean_of(errors), low, high});
  }
  add_depth(seeds, out);
  return out;
}

std::vector<MovedThreshold> moved_thresholds(std::span<const TaskThresholds> tasks) {
  std::vector<MovedThreshold> all;
  std::vector<std::string> measures;
  for (const TaskThresholds& t : tasks)
    for (const ThresholdCurve& c : t.seeds.front())
      if (std::ranges::find(measures, c.measure) == measures.end()) measures.push_back(c.measure);
  for (const std::string& measure : measures)
    for (const TaskThresholds& from : tasks)
      for (const TaskThresholds& to : tasks) {
        FATHOM_ASSERT(from.seeds.size() == to.seeds.size());
        if (auto m = moved(from, to, measure)) all.push_back(std::move(*m));
      }
  return all;
}

}  // namespace fathom
