// SPDX-License-Identifier: Apache-2.0
#include "study/search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"

namespace fathom {
namespace {

using Removed = std::vector<bool>;  // (n_unit)

size_t count(const Removed& removed) {
  return static_cast<size_t>(std::ranges::count(removed, true));
}

// The loss of every set of units, asked for once.
class Losses {
 public:
  Losses(const PruneProblem& problem, const MaskLoss& loss) : problem_(problem), loss_(loss) {}

  double operator()(const Removed& removed) {
    const auto [at, is_new] = known_.try_emplace(removed, 0);
    if (is_new) at->second = loss_(problem_.without(removed));
    FATHOM_REQUIRE(!std::isnan(at->second), "the loss of a mask is not a number");
    return at->second;
  }
  size_t n_evaluated() const { return known_.size(); }

 private:
  const PruneProblem& problem_;
  const MaskLoss& loss_;
  std::map<Removed, double> known_;
};

MaskSearch result_of(const PruneProblem& problem, const Removed& removed, Losses& losses,
                     std::vector<SearchStep> steps) {
  return {.removed = removed,
          .mask = problem.without(removed),
          .loss = losses(removed),
          .share = problem.share_without(removed),
          .steps = std::move(steps),
          .n_evaluated = losses.n_evaluated()};
}

SearchStep step_of(const PruneProblem& problem, const Removed& removed, Losses& losses,
                   std::optional<size_t> unit, double score) {
  return {.unit = unit,
          .score = score,
          .loss = losses(removed),
          .share = problem.share_without(removed)};
}

// Uniform in (0, 1).
double uniform(Random& random) {
  return (static_cast<double>(random.next() >> 11) + 0.5) * 0x1p-53;
}

// Removes in this order until it is enough.
Removed remove_first(const PruneProblem& problem, std::span<const size_t> order) {
  Removed removed(problem.units.size(), false);
  size_t n = 0;
  for (size_t unit : order) {
    if (problem.done(n, problem.share_without(removed))) break;
    removed[unit] = true;
    ++n;
  }
  return removed;
}

// Weighted sampling without replacement as a race: unit b is removed at an exponential time whose
// rate is its odds of being removed (Efraimidis and Spirakis, 2006).
Removed draw(const PruneProblem& problem, std::span<const double> kept, Random& random) {
  std::vector<double> time;
  for (double p : kept) time.push_back(-std::log(uniform(random)) * p / (1 - p));
  std::vector<size_t> order(time.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t b) { return time[b]; });
  return remove_first(problem, order);
}

}  // namespace

double flops_share(const CostModel& model, const BlockMask& mask) {
  const auto flops = [&](const BlockMask& m) {
    std::vector<BlockRows> rows(model.n_layer);
    for (size_t l = 0; l < model.n_layer; ++l) {
      rows[l].time_mix = m.time_mix[l];
      rows[l].channel_mix = m.channel_mix[l];
    }
    rows[0].v_first = model.needs_v_first() && !m.time_mix[0] && m.depth() > 0;
    return block_flops(model, rows);
  };
  return flops(mask) / flops(BlockMask::all(model.n_layer));
}

double PruneProblem::most_share() const {
  double smallest = 1;
  for (const PruneUnit& unit : units) smallest = std::min(smallest, unit.share);
  return keep + smallest / 2;
}

bool PruneProblem::done(size_t n, double share) const {
  return n_remove ? n >= *n_remove : share <= most_share();
}

BlockMask PruneProblem::without(const Removed& removed) const {
  FATHOM_ASSERT(removed.size() == units.size());
  BlockMask mask = BlockMask::all(n_layer);
  for (size_t b = 0; b < units.size(); ++b) {
    if (!removed[b]) continue;
    if (runs(units[b].sublayers, Step::kTimeMix)) mask.time_mix[units[b].layer] = false;
    if (runs(units[b].sublayers, Step::kChannelMix)) mask.channel_mix[units[b].layer] = false;
  }
  return mask;
}

double PruneProblem::share_without(const Removed& removed) const {
  double share = 1;
  for (size_t b = 0; b < units.size(); ++b)
    if (removed[b]) share -= units[b].share;
  return share;
}

PruneProblem prune_problem(const CostModel& model, UnitKind kind, size_t n_protected,
                           std::optional<size_t> n_remove, double keep) {
  PruneProblem problem{.n_layer = model.n_layer, .units = {}, .n_remove = n_remove, .keep = keep};
  const auto add = [&](size_t layer, Step sublayers) {
    BlockMask mask = BlockMask::all(model.n_layer);
    if (runs(sublayers, Step::kTimeMix)) mask.time_mix[layer] = false;
    if (runs(sublayers, Step::kChannelMix)) mask.channel_mix[layer] = false;
    problem.units.push_back({layer, sublayers, 1 - flops_share(model, mask)});
  };
  for (size_t l = n_protected; l < model.n_layer; ++l) {
    if (kind == UnitKind::kBlock) {
      add(l, Step::kBlock);
    } else {
      add(l, Step::kTimeMix);
      add(l, Step::kChannelMix);
    }
  }
  const size_t n = problem.units.size();
  const double least = problem.share_without(Removed(n, true));
  FATHOM_REQUIRE(!n_remove || *n_remove <= n, "to remove ", n_remove.value_or(0), " of ", n,
                 " units: expected at most ", n);
  FATHOM_REQUIRE(n > 0 && problem.done(n, least), "to keep ", keep, " of the FLOPs: the first ",
                 n_protected, " blocks, which stay, take ", least);
  return problem;
}

double loss_rate(double added_loss, double saved) {
  return added_loss > 0 ? added_loss / saved : added_loss;
}

MaskSearch remove_in_order(const PruneProblem& problem, std::span<const double> scores,
                           const MaskLoss& loss) {
  const size_t n = problem.units.size();
  FATHOM_ASSERT(scores.size() == n);
  Losses losses(problem, loss);
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {},
                           [&](size_t b) { return loss_rate(scores[b], problem.saved_by(b)); });
  const Removed all = remove_first(problem, order);
  Removed removed(n, false);
  std::vector<SearchStep> steps;
  for (size_t unit : order) {
    if (!all[unit]) break;
    removed[unit] = true;
    steps.push_back(step_of(problem, removed, losses, unit, scores[unit]));
  }
  return result_of(problem, removed, losses, std::move(steps));
}

MaskSearch remove_range(const PruneProblem& problem,
                        const std::function<double(size_t, size_t)>& distance,
                        const MaskLoss& loss) {
  const size_t n = problem.units.size();
  Losses losses(problem, loss);
  double best = std::numeric_limits<double>::infinity();
  size_t best_begin = 0, best_end = 0;
  for (size_t begin = 0; begin < n; ++begin) {
    size_t end = begin;
    double share = 1;
    while (end < n && !problem.done(end - begin, share)) share -= problem.units[end++].share;
    if (!problem.done(end - begin, share)) break;
    const double d = end > begin ? distance(begin, end) : 0;
    if (d >= best) continue;
    best = d;
    best_begin = begin;
    best_end = end;
  }
  Removed removed(n, false);
  std::vector<SearchStep> steps;
  for (size_t b = best_begin; b < best_end; ++b) {
    removed[b] = true;
    steps.push_back(step_of(problem, removed, losses, b, best));
  }
  return result_of(problem, removed, losses, std::move(steps));
}

MaskSearch greedy_search(const PruneProblem& problem, const MaskLoss& loss) {
  const size_t n = problem.units.size();
  Losses losses(problem, loss);
  Removed removed(n, false);
  std::vector<SearchStep> steps;
  while (!problem.done(count(removed), problem.share_without(removed))) {
    const double now = losses(removed);
    size_t best = n;
    double lowest = std::numeric_limits<double>::infinity();
    for (size_t b = 0; b < n; ++b) {
      if (removed[b]) continue;
      removed[b] = true;
      const double rate = loss_rate(losses(removed) - now, problem.saved_by(b));
      removed[b] = false;
      if (best < n && rate >= lowest) continue;
      best = b;
      lowest = rate;
    }
    removed[best] = true;
    steps.push_back(step_of(problem, removed, losses, best, lowest));
  }
  return result_of(problem, removed, losses, std::move(steps));
}

MaskSearch cross_entropy_search(const PruneProblem& problem, const MaskLoss& loss,
                                const CrossEntropyOptions& options) {
  FATHOM_ASSERT(options.n_elite >= 1 && options.n_elite <= options.n_sample);
  // Never quite sure, so that every mask can still be drawn.
  constexpr double kLeast = 0.02;
  const size_t n = problem.units.size();
  const double share = problem.n_remove
                           ? 1 - static_cast<double>(*problem.n_remove) / static_cast<double>(n)
                           : problem.keep;
  Losses losses(problem, loss);
  Random random(options.seed);
  std::vector<double> kept(n, std::clamp(share, kLeast, 1 - kLeast));
  std::vector<SearchStep> steps;
  Removed best;
  for (size_t iteration = 0; iteration < options.n_iteration; ++iteration) {
    std::vector<std::pair<double, Removed>> drawn;
    for (size_t i = 0; i < options.n_sample; ++i) {
      Removed removed = draw(problem, kept, random);
      const double value = losses(removed);
      drawn.emplace_back(value, std::move(removed));
    }
    std::ranges::stable_sort(drawn, {}, [](const auto& d) { return d.first; });
    if (best.empty() || drawn[0].first < losses(best)) best = drawn[0].second;
    double elite_loss = 0;
    for (size_t b = 0; b < n; ++b) {
      double in_elite = 0;
      for (size_t i = 0; i < options.n_elite; ++i) in_elite += !drawn[i].second[b];
      kept[b] += options.step * (in_elite / static_cast<double>(options.n_elite) - kept[b]);
      kept[b] = std::clamp(kept[b], kLeast, 1 - kLeast);
    }
    for (size_t i = 0; i < options.n_elite; ++i) elite_loss += drawn[i].first;
    steps.push_back(step_of(problem, best, losses, std::nullopt,
                            elite_loss / static_cast<double>(options.n_elite)));
  }
  return result_of(problem, best, losses, std::move(steps));
}

namespace {

struct Swap {
  size_t in, out;  // comes back, goes
  double guess;    // of the loss that it adds
};

// Swaps that FLOPs allow, the most promising first: losses of the two changes alone, added up.
std::vector<Swap> promising_swaps(const PruneProblem& problem, Removed removed, double most_share,
                                  Losses& losses) {
  const double now = losses(removed), share = problem.share_without(removed);
  std::vector<double> change(removed.size());
  for (size_t b = 0; b < removed.size(); ++b) {
    removed[b] = !removed[b];
    change[b] = losses(removed) - now;
    removed[b] = !removed[b];
  }
  std::vector<Swap> swaps;
  for (size_t in = 0; in < removed.size(); ++in)
    for (size_t out = 0; out < removed.size(); ++out) {
      if (!removed[in] || removed[out]) continue;
      if (share + problem.units[in].share - problem.units[out].share > most_share) continue;
      swaps.push_back({in, out, change[in] + change[out]});
    }
  std::ranges::stable_sort(swaps, {}, &Swap::guess);
  return swaps;
}

}  // namespace

MaskSearch refine_by_swaps(const PruneProblem& problem, Removed removed, const MaskLoss& loss,
                           size_t n_candidate) {
  constexpr double kRounding = 1e-9;
  Losses losses(problem, loss);
  std::vector<SearchStep> steps;
  double most_share = problem.share_without(removed) + kRounding;
  if (!problem.n_remove) most_share = std::max(most_share, problem.most_share());
  for (size_t n = 0; n < problem.units.size(); ++n) {
    const double now = losses(removed);
    std::vector<Swap> swaps = promising_swaps(problem, removed, most_share, losses);
    swaps.resize(std::min(swaps.size(), n_candidate));
    double lowest = now;
    Removed best;
    for (const Swap& swap : swaps) {
      Removed tried = removed;
      tried[swap.in] = false;
      tried[swap.out] = true;
      const double value = losses(tried);
      if (value >= lowest) continue;
      lowest = value;
      best = std::move(tried);
    }
    if (best.empty()) break;
    removed = best;
    steps.push_back(step_of(problem, removed, losses, std::nullopt, now - lowest));
  }
  return result_of(problem, removed, losses, std::move(steps));
}

MaskSearch random_search(const PruneProblem& problem, const MaskLoss& loss, uint64_t seed) {
  Losses losses(problem, loss);
  Random random(seed);
  const std::vector<double> even(problem.units.size(), 0.5);
  return result_of(problem, draw(problem, even, random), losses, {});
}

std::vector<bool> last_removed(const PruneProblem& problem) {
  std::vector<size_t> order(problem.units.size());
  std::iota(order.rbegin(), order.rend(), size_t{0});
  return remove_first(problem, order);
}

std::vector<bool> random_like(const PruneProblem& problem, const Removed& removed, Random& random) {
  Removed out(removed.size(), false);
  for (Step kind : {Step::kTimeMix, Step::kChannelMix, Step::kBlock}) {
    std::vector<size_t> units;
    size_t n = 0;
    for (size_t b = 0; b < removed.size(); ++b) {
      if (problem.units[b].sublayers != kind) continue;
      units.push_back(b);
      n += removed[b];
    }
    for (size_t i = 0; i < n; ++i) {
      std::swap(units[i], units[i + random.below(units.size() - i)]);
      out[units[i]] = true;
    }
  }
  return out;
}

}  // namespace fathom
