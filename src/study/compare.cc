// SPDX-License-Identifier: Apache-2.0
#include "study/compare.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.h"
#include "depth/layers.h"
#include "eval/class_metric.h"
#include "study/fit_heads.h"

namespace fathom {
namespace {

// The leading metric of every layer of one side, resample by resample.
struct Side {
  std::vector<size_t> layers;  // rising
  std::vector<double> value, flops;
  std::vector<std::vector<double>> replicates;
  size_t n_layer = 0;

  size_t at(size_t layer) const {
    return static_cast<size_t>(std::ranges::find(layers, layer) - layers.begin());
  }
  LayerFigure figure(size_t i) const {
    const Interval interval = percentile_interval(replicates[i]);
    return {layers[i], value[i], interval.low, interval.high, 1};
  }
};

Side side_of(const EvalTask& task, const BootstrapOptions& options, ThreadPool& pool) {
  const std::vector<double> gold = golds_of(task.evaluated);
  const Task& about = *task.evaluated.task;
  std::vector<const Scores*> scores;
  for (const Scores& s : task.systems)
    if (s.layer) scores.push_back(&s);
  std::ranges::sort(scores, {}, [](const Scores* s) { return *s->layer; });
  FATHOM_REQUIRE(!scores.empty(), about.name, ": no layer has a figure");
  Side side;
  side.n_layer = task.result.n_layer;
  std::vector<Statistic> statistics;
  for (const Scores* s : scores) {
    side.layers.push_back(*s->layer);
    const auto cost = std::ranges::find(task.result.costs, s->layer, &CostRow::layer);
    side.flops.push_back(cost->flops_per_pair);
    if (task.probe) {
      statistics.emplace_back([&gold, &about, s](Multiplicities t) {
        return class_metric(about.metrics.front(), gold, s->evaluated, about.n_class(), t);
      });
    } else {
      const auto pairs = std::make_shared<const RankedPairs>(s->evaluated, gold);
      statistics.emplace_back([pairs](Multiplicities t) { return pairs->spearman(t); });
    }
  }
  for (const Statistic& statistic : statistics) side.value.push_back(statistic({}));
  side.replicates = Bootstrap(gold.size(), options).run(statistics, pool);
  return side;
}

ComparedLayers line_of(std::string what, const Side& a, size_t i, const Side& b, size_t j) {
  const PairedDifference d = paired_difference(b.replicates[j], a.replicates[i]);
  return {.what = std::move(what),
          .a = a.figure(i),
          .b = b.figure(j),
          .difference = b.value[j] - a.value[i],
          .low = d.interval.low,
          .high = d.interval.high,
          .p = d.p,
          .flops_a = a.flops[i],
          .flops_b = b.flops[j]};
}

size_t best_of(const EvalTask& task, const Side& side) {
  return task.result.verdict ? side.at(task.result.verdict->best.layer) : side.layers.size() - 1;
}

}  // namespace

Comparison compare(const EvalTask& a, const EvalTask& b, const BootstrapOptions& options,
                   ThreadPool& pool) {
  FATHOM_REQUIRE(a.evaluated.pairs == b.evaluated.pairs, a.result.task,
                 ": both sides were not evaluated on the same rows");
  const Side first = side_of(a, options, pool), second = side_of(b, options, pool);
  Comparison c{.task = a.result.task,
               .title = a.result.title,
               .split = a.result.split,
               .metric = a.result.lead,
               .n_row = a.evaluated.pairs.size(),
               .n_resample = options.n_resample,
               .lines = {}};
  c.lines.push_back(line_of("best layer", first, best_of(a, first), second, best_of(b, second)));
  c.lines.push_back(
      line_of("deepest layer", first, first.layers.size() - 1, second, second.layers.size() - 1));
  for (size_t i = 0; i < first.layers.size(); ++i) {
    const size_t j = second.at(first.layers[i]);
    if (j < second.layers.size() && first.layers[i] <= first.n_layer &&
        first.layers[i] <= second.n_layer)
      c.lines.push_back(
          line_of("layer " + layer_name(first.layers[i], first.n_layer), first, i, second, j));
  }
  return c;
}

}  // namespace fathom
