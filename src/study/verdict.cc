// SPDX-License-Identifier: Apache-2.0
#include "study/verdict.h"

#include "base/error.h"

namespace fathom {
namespace {

struct Figures {
  std::vector<double> value;                    // (n_layer)
  std::vector<std::vector<double>> replicates;  // (n_layer, n_resample)
};

Figures figures_of(const VerdictRows& rows, const BootstrapOptions& options, ThreadPool& pool) {
  Figures f;
  for (const Statistic& statistic : rows.statistics) f.value.push_back(statistic({}));
  f.replicates = Bootstrap(rows.n_row, options).run(rows.statistics, pool);
  return f;
}

}  // namespace

std::optional<LayerVerdict> judge_layers(std::span<const size_t> layers,
                                         std::span<const double> flops, const std::string& metric,
                                         const VerdictRows& evaluated, const VerdictRows* choice,
                                         const BootstrapOptions& options, ThreadPool& pool) {
  FATHOM_ASSERT(layers.size() == evaluated.statistics.size() && layers.size() == flops.size());
  const Figures shown = figures_of(evaluated, options, pool);
  std::optional<LayerChoice> chosen;
  if (choice) {
    const Figures seen = figures_of(*choice, options, pool);
    chosen = choose_layer(seen.value, seen.replicates);
  }
  LayerVerdict v;
  v.metric = metric;
  v.on_evaluated = !chosen;
  v.chosen_on = chosen ? choice->name : evaluated.name;
  if (!chosen) chosen = choose_layer(shown.value, shown.replicates);
  if (!chosen) return std::nullopt;
  const auto figure = [&](size_t l) {
    const Interval interval = percentile_interval(shown.replicates[l]);
    return LayerFigure{layers[l], shown.value[l], interval.low, interval.high,
                       flops.back() > 0 ? flops[l] / flops.back() : 1};
  };
  v.best = figure(chosen->best);
  v.shallowest = figure(chosen->shallowest);
  v.deepest = figure(layers.size() - 1);
  const PairedDifference d = paired_difference(shown.replicates[chosen->shallowest],
                                               shown.replicates[chosen->best], chosen->level);
  v.difference = v.shallowest.value - v.best.value;
  v.low = d.interval.low;
  v.high = d.interval.high;
  v.n_compared = chosen->n_compared;
  return v;
}

}  // namespace fathom
