// SPDX-License-Identifier: Apache-2.0
// evaluate() of tasks that need linear probes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "eval/class_metric.h"
#include "study/evaluate.h"
#include "study/probe_curve.h"

namespace fathom {
namespace {

// One system at one depth.
struct Probed {
  std::string system;
  std::optional<size_t> layer;
  const std::vector<double>*evaluated, *held_out;  // answers; held_out may be nullptr
};

std::vector<Probed> probed(const ProbeCurve& curve, std::vector<size_t> layers) {
  std::ranges::sort(layers);
  std::vector<Probed> all;
  for (const ProbeAnswers& system : curve.systems) {
    const bool model = system.system == "rwkv";
    const auto add = [&](std::optional<size_t> layer, size_t at) {
      all.push_back({system.system, layer, &system.evaluated[at],
                     system.held_out.empty() ? nullptr : &system.held_out[at]});
    };
    if (!model) add(std::nullopt, 0);
    for (size_t layer : model ? layers : std::vector<size_t>()) add(layer, layer);
  }
  return all;
}

Statistic statistic_of(const Task& task, TaskMetric metric, const std::vector<double>& gold,
                       const std::vector<double>& answers) {
  return [&gold, &answers, metric, n = task.n_class()](Multiplicities times) {
    return class_metric(metric, gold, answers, n, times);
  };
}

std::vector<MetricRow> rows_of(const Task& task, const ProbeCurve& curve,
                               const std::vector<Probed>& all, const BootstrapOptions& options,
                               ThreadPool& pool) {
  const size_t n_metric = task.metrics.size();
  std::vector<Statistic> statistics;  // (n_system, n_metric)
  for (const Probed& p : all)
    for (TaskMetric metric : task.metrics)
      statistics.push_back(statistic_of(task, metric, curve.gold, *p.evaluated));
  const auto replicates = Bootstrap(curve.gold.size(), options).run(statistics, pool);
  const auto glove = std::ranges::find(all, "glove", &Probed::system);
  std::vector<MetricRow> rows;
  for (size_t i = 0; i < statistics.size(); ++i) {
    const Probed& p = all[i / n_metric];
    const std::string name(name_of(task.metrics[i % n_metric]));
    const Interval interval = percentile_interval(replicates[i]);
    const double value = statistics[i]({});
    rows.push_back({p.system, p.layer, name, value, interval.low, interval.high});
    if (glove == all.end() || p.system == "glove") continue;
    const size_t j = static_cast<size_t>(glove - all.begin()) * n_metric + i % n_metric;
    const PairedDifference d = paired_difference(replicates[i], replicates[j]);
    rows.push_back({p.system, p.layer, name + "_minus_glove", value - statistics[j]({}),
                    d.interval.low, d.interval.high, d.p});
  }
  return rows;
}

std::optional<LayerVerdict> verdict_of(const Task& task, const ProbeCurve& curve,
                                       const std::vector<Probed>& all,
                                       const std::vector<CostRow>& costs,
                                       const BootstrapOptions& options, ThreadPool& pool) {
  VerdictRows shown{{}, curve.gold.size(), "these rows"},
      choice{{}, curve.held_out_gold.size(), curve.held_out_name};
  std::vector<size_t> layers;
  std::vector<double> flops;
  for (const Probed& p : all) {
    if (!p.layer) continue;
    layers.push_back(*p.layer);
    flops.push_back(std::ranges::find(costs, p.layer, &CostRow::layer)->flops_per_pair);
    const TaskMetric lead = task.metrics.front();
    shown.statistics.push_back(statistic_of(task, lead, curve.gold, *p.evaluated));
    if (p.held_out)
      choice.statistics.push_back(statistic_of(task, lead, curve.held_out_gold, *p.held_out));
  }
  if (layers.size() < 2) return std::nullopt;
  return judge_layers(layers, flops, std::string(name_of(task.metrics.front())), shown,
                      choice.statistics.empty() ? nullptr : &choice, options, pool);
}

void record_baselines(const ProbeCurve& curve, EvalResult& result) {
  for (const auto& baseline : curve.baselines) {
    result.settings[baseline->name()] = baseline->about();
    EvalBaseline about{.system = baseline->name(),
                       .title = baseline_title(baseline->name()),
                       .place = baseline->place(),
                       .coverage = {},
                       .warning = {}};
    if (!baseline->knows_all())
      about.coverage = coverage_of(*baseline, {texts_in_order(curve.evaluated)}).share();
    result.baselines.push_back(std::move(about));
  }
}

}  // namespace

void evaluate_probe(EvalTask& task, const EvalOptions& options, OpenModel& open,
                    const Encoder& encoder, const Listener& listener) {
  const Task& about = *task.evaluated.task;
  const EncodeOptions& how = encoder.options();
  if (pools_state(how.pooling))
    throw InvalidOption("pooling", "pooled rows for linear probes",
                        std::string(name_of(how.pooling)));
  if (how.head || !how.post.empty())
    throw UsageError(concat(about.name,
                            ": linear probes are fitted on pooled rows: expected neither "
                            "a head nor post-processing"));
  EvalResult& result = task.result;
  FeatureSource source(open, {.encode = how, .folder = options.features}, listener);
  ProbeOptions probes{
      .sample = options.sample, .seed = options.seed, .baselines = options.baselines};
  if (options.train_sample) probes.max_train = *options.train_sample;
  ProbeCurve curve = probe_layers(about, task.evaluated.split,
                                  find_data_root(std::array{&about}, options.data), probes, source);
  result.probe = true;
  result.binary = false;
  result.is_pair = about.is_pair();
  result.n_pair = curve.gold.size();
  result.lead = name_of(about.metrics.front());
  for (TaskMetric metric : about.metrics) result.metrics.emplace_back(name_of(metric));
  result.notes = curve.notes;
  result.settings["probe"] = {{"seed", options.seed}, {"held_out", curve.held_out_name}};
  record_baselines(curve, result);
  PairTexts texts = texts_of(curve.evaluated);
  if (!about.is_pair()) texts.b.clear();
  {
    Stage stage(listener, "timing layers", how.layers.size());
    result.costs = rwkv_costs(encoder, open.tokenizer(), texts, open.work,
                              cost_options(options, open, encoder, task),
                              [&](size_t done) { stage.at(done); });
  }
  for (const auto& baseline : curve.baselines)
    result.costs.push_back(
        baseline_cost(*baseline, texts, {.measure = options.timing, .n_repeat = options.n_repeat}));
  const BootstrapOptions resamples{.n_resample = options.n_resample, .seed = 1};
  const std::vector<Probed> all = probed(curve, how.layers);
  result.rows = rows_of(about, curve, all, resamples, open.work.pool());
  for (const Probed& p : all) task.systems.push_back({p.system, p.layer, *p.evaluated, {}});
  result.verdict = verdict_of(about, curve, all, result.costs, resamples, open.work.pool());
  task.evaluated = std::move(curve.evaluated);
  add_peak_memory(task, options, encoder, listener);
}

}  // namespace fathom
