// SPDX-License-Identifier: Apache-2.0
#include "study/fit_exit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "eval/threshold.h"
#include "probe/calibrate.h"
#include "probe/learned_to_exit.h"
#include "probe/ridge.h"

namespace fathom {
namespace {

size_t width_of(const ExitRule& rule) { return rule.pair ? 2 : 1; }

// The vectors of these examples at one layer, (rows.size() * width, dim).
std::vector<float> gather(const FeatureCache& cache, size_t layer, std::span<const size_t> rows,
                          size_t width) {
  const size_t n = width * cache.shape().dim;
  std::vector<float> out(rows.size() * n);
  for (size_t i = 0; i < rows.size(); ++i)
    cache.read(layer, rows[i] * width, width, std::span(out).subspan(i * n, n));
  return out;
}

// Post-processed vectors of single texts at one layer, (n, dim).
struct Vectors {
  std::vector<float> values;
  size_t n, dim;
  Matrix<const float> view() const { return {values.data(), n, dim}; }
};

Vectors processed(const ExitRule& rule, const FeatureCache& cache, size_t layer,
                  std::span<const size_t> rows) {
  const std::vector<float> raw = gather(cache, layer, rows, 1);
  const size_t d_model = cache.shape().dim, dim = rule.post[layer].out_dim(d_model);
  Vectors out{std::vector<float>(rows.size() * dim), rows.size(), dim};
  for (size_t i = 0; i < rows.size(); ++i)
    rule.post[layer].apply({raw.data() + i * d_model, d_model}, {out.values.data() + i * dim, dim});
  return out;
}

// Sum over the rows of cos(x M, y). map: (x.dim, y.dim).
double nearness(const std::vector<float>& map, const Vectors& x, const Vectors& y) {
  double sum = 0;
  std::vector<float> mapped(y.dim);
  for (size_t i = 0; i < x.n; ++i) {
    std::ranges::fill(mapped, 0.0f);
    for (size_t a = 0; a < x.dim; ++a)
      for (size_t b = 0; b < y.dim; ++b) mapped[b] += x.values[i * x.dim + a] * map[a * y.dim + b];
    sum += cosine_of(mapped, y.view().row(i));
  }
  return sum;
}

// What the formula of the measure gave at this exit, as far as the table keeps it: of what agrees
// the distance from the answer of the exit before, else from the confidence.
double value_at(const ExitRule& rule, const ExitTable& table, size_t exit, size_t example) {
  const MeasureTraits& m = traits_of(rule.measure);
  if (m.compare == Compare::kAgrees) {
    const float now = table.answer[table.at(exit, example)],
                before = table.answer[table.at(exit - 1, example)];
    return std::abs(double{now} - before);
  }
  const double c = table.confidence[table.at(exit, example)];
  return m.compare == Compare::kBelow ? m.range * (1 - c) : c;
}

// What EarlyExit decides at this exit, from the table. count: how often in a row the condition has
// held, carried from exit to exit.
bool is_sure(const ExitRule& rule, const ExitTable& table, const OperatingPoint& at, size_t exit,
             size_t example, size_t& count) {
  const MeasureTraits& m = traits_of(rule.measure);
  const bool holds = !(m.compares_exits && exit == 0) &&
                     rule.holds(value_at(rule, table, exit, example), at.threshold);
  count = holds ? count + 1 : 0;
  return m.in_a_row ? count >= at.streak : holds;
}

// Values that a threshold is compared with, at exits before the last.
std::vector<double> compared_values(const ExitRule& rule, const ExitTable& table) {
  const bool agrees = traits_of(rule.measure).compare == Compare::kAgrees;
  std::vector<double> values;
  for (size_t e = agrees ? 1 : 0; e + 1 < table.layers.size(); ++e)
    for (size_t i = 0; i < table.n_example; ++i) values.push_back(value_at(rule, table, e, i));
  std::ranges::sort(values);
  return values;
}

double consistency(const ExitRule& rule, double answer, double last, double range) {
  if (rule.n_class == 1) return std::min(1.0, std::abs(answer - last) / range);
  return answer == last ? 0 : 1;
}

// Losses of heads, once the answers of all exits are known.
void fill_losses(const ExitRule& rule, const ExitExamples& examples, ExitLoss loss,
                 ExitTable& table) {
  const size_t last = table.layers.size() - 1;
  for (size_t e = 0; e <= last; ++e)
    for (size_t i = 0; i < table.n_example; ++i) {
      const double answer = table.answer[table.at(e, i)], full = table.answer[table.at(last, i)];
      double value = consistency(rule, answer, full, examples.range);
      if (loss == ExitLoss::kRisk) {
        const double gold = examples.gold[examples.rows[i]];
        value = answer != gold && full == gold ? 1 : 0;
      }
      table.loss[table.at(e, i)] = static_cast<float>(value);
    }
}

// Losses of vectors: 1 - cos of what is returned with what full depth returns, of a pair the larger.
void fill_vector_losses(const EarlyExit& policy, const std::vector<std::vector<float>>& returned,
                        ExitTable& table) {
  const size_t width = width_of(policy.rule()), last = table.layers.size() - 1;
  const size_t dim = returned[last].size() / (table.n_example * width);
  for (size_t e = 0; e <= last; ++e)
    for (size_t i = 0; i < table.n_example; ++i) {
      double worst = 0;
      for (size_t s = i * width; s < (i + 1) * width; ++s)
        worst = std::max(worst, 1 - cosine_of({returned[e].data() + s * dim, dim},
                                              {returned[last].data() + s * dim, dim}));
      table.loss[table.at(e, i)] = e == last ? 0 : static_cast<float>(std::clamp(worst, 0.0, 1.0));
    }
}

std::vector<float> returned_vectors(const EarlyExit& policy, size_t layer,
                                    Matrix<const float> pooled) {
  const size_t dim = policy.dim(pooled.cols());
  std::vector<float> out(pooled.rows() * dim);
  for (size_t s = 0; s < pooled.rows(); ++s)
    policy.finish(layer, pooled.row(s), {out.data() + s * dim, dim});
  return out;
}

}  // namespace

bool fits_task(Measure measure, const Task& task) {
  const MeasureTraits& m = traits_of(measure);
  return task.n_class() >= m.least_classes && (!m.needs_pair || task.is_pair());
}

ExitRule make_exit_rule(const ExitPlan& plan, const Task* task, std::span<const LayerFit> fits,
                        size_t n_layer) {
  const MeasureTraits& m = traits_of(plan.measure);
  ExitRule rule;
  rule.measure = plan.measure;
  rule.pair = task && task->is_pair();
  rule.n_class = task ? task->n_class() : 0;
  rule.features = task ? task->features : FeatureKind::kPooled;
  rule.streak = m.in_a_row ? plan.streak : 1;
  rule.alpha = plan.alpha;
  for (size_t l = 0; l <= n_layer; ++l) rule.post.push_back(fits[l].post);
  rule.maps.resize(n_layer + 1);
  for (size_t l : plan.layers) {
    ExitPoint exit{.layer = l};
    if (task) exit.head = fits[l].fitted.head;
    if (m.needs_prototypes) exit.prototypes = fits[l].prototypes;
    rule.exits.push_back(std::move(exit));
  }
  return rule;
}

ExitTable run_exits(const ExitRule& rule, const ExitExamples& examples, ExitLoss loss,
                    ThreadPool& pool) {
  FATHOM_ASSERT(!rule.exits.empty() && rule.exits.back().layer == rule.n_layer());
  const EarlyExit policy("fit", rule);
  const size_t width = width_of(rule), n_live = examples.rows.size() * width,
               d_model = examples.cache.shape().dim;
  ExitTable table;
  table.n_example = examples.rows.size();
  for (const ExitPoint& exit : rule.exits) table.layers.push_back(exit.layer);
  const size_t size = table.layers.size() * table.n_example;
  table.confidence.resize(size);
  table.answer.resize(size);
  table.loss.resize(size);
  std::vector<double> scratch(n_live * policy.scratch());
  std::vector<DepthTrace> trace(n_live);
  std::vector<uint32_t> pair(n_live);
  for (size_t s = 0; s < n_live; ++s) pair[s] = static_cast<uint32_t>(s / width);
  std::vector<Step> steps(n_live);
  std::vector<std::vector<float>> returned;
  for (size_t e = 0; e < table.layers.size(); ++e) {
    const size_t layer = table.layers[e];
    const std::vector<float> now = gather(examples.cache, layer, examples.rows, width);
    std::vector<float> before;
    if (traits_of(rule.measure).compares_layers)
      before = gather(examples.cache, layer - 1, examples.rows, width);
    Boundary at{.layer = layer,
                .pooled = {now.data(), n_live, d_model},
                .previous = {},
                .pair = pair,
                .scratch = {scratch.data(), n_live, policy.scratch()},
                .trace = trace,
                .threads = &pool};
    if (!before.empty()) at.previous = {before.data(), n_live, d_model};
    policy.decide(at, steps);
    for (size_t i = 0; i < table.n_example; ++i) {
      const DepthTrace& t = trace[i * width];
      table.confidence[table.at(e, i)] = t.confidence;
      table.answer[table.at(e, i)] = rule.n_class == 1  ? t.predicted_value
                                     : rule.n_class > 1 ? static_cast<float>(t.predicted_class)
                                                        : 0;
    }
    if (rule.n_class == 0) returned.push_back(returned_vectors(policy, layer, at.pooled));
  }
  if (rule.n_class == 0)
    fill_vector_losses(policy, returned, table);
  else
    fill_losses(rule, examples, loss, table);
  return table;
}

std::vector<OperatingPoint> operating_points(const ExitRule& rule, const ExitTable& table,
                                             size_t n) {
  std::vector<OperatingPoint> points;
  if (!rule.has_threshold()) {
    for (size_t streak = table.layers.size(); streak >= 1; --streak) points.push_back({streak, 0});
    return points;
  }
  // Never: no confidence reaches 2, nothing is below 0.
  const bool below = traits_of(rule.measure).compare != Compare::kAtLeast;
  points.push_back({rule.streak, below ? 0.0 : 2.0});
  const std::vector<double> values = compared_values(rule, table);
  for (size_t i = 1; i < n && !values.empty(); ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(n - 1);
    const size_t rank =
        static_cast<size_t>(std::lround(share * static_cast<double>(values.size() - 1)));
    // Between values, so that the rounding of a confidence never decides.
    const double high = values[below ? rank : values.size() - 1 - rank];
    const auto place = std::ranges::lower_bound(values, high);
    // Beyond the last value: by more than the rounding of a confidence to float.
    constexpr double kRounding = 1e-6;
    double threshold = below ? high + kRounding : high - kRounding;
    if (below) {
      const auto next = std::ranges::upper_bound(values, high);
      if (next != values.end()) threshold = threshold_between(high, *next);
    } else if (place != values.begin()) {
      threshold = threshold_between(*(place - 1), high);
    }
    const double last = points.back().threshold;
    if (below ? threshold > last : threshold < last) points.push_back({rule.streak, threshold});
  }
  return points;
}

std::vector<size_t> stops(const ExitRule& rule, const ExitTable& table, const OperatingPoint& at) {
  std::vector<size_t> exit(table.n_example);
  for (size_t i = 0; i < table.n_example; ++i) {
    size_t count = 0, e = 0;
    while (e + 1 < table.layers.size() && !is_sure(rule, table, at, e, i, count)) ++e;
    exit[i] = e;
  }
  return exit;
}

void set_point(ExitRule& rule, const OperatingPoint& at) {
  rule.streak = at.streak;
  for (ExitPoint& exit : rule.exits) exit.threshold = at.threshold;
}

std::vector<float> loss_matrix(const ExitRule& rule, const ExitTable& table,
                               std::span<const OperatingPoint> points) {
  std::vector<float> loss(table.n_example * points.size());
  for (size_t j = 0; j < points.size(); ++j) {
    const std::vector<size_t> exit = stops(rule, table, points[j]);
    for (size_t i = 0; i < exit.size(); ++i)
      loss[i * points.size() + j] = table.loss[table.at(exit[i], i)];
  }
  return loss;
}

std::vector<float> cost_matrix(const ExitRule& rule, const ExitTable& table,
                               std::span<const OperatingPoint> points, const CostModel& model,
                               const ExitExamples& examples, std::span<const size_t> n_token) {
  const EarlyExit policy("fit", rule);
  const size_t width = width_of(rule), last = table.layers.size() - 1;
  // FLOPs of an example that leaves at an exit, and of full depth without any policy.
  std::vector<double> flops(table.layers.size() * table.n_example);
  double full = 0;
  for (size_t i = 0; i < table.n_example; ++i)
    for (size_t s = 0; s < width; ++s) {
      const size_t tokens = n_token[examples.rows[i] * width + s];
      for (size_t l = 0; l < model.n_layer; ++l)
        full += 2 * static_cast<double>(block_cost(model, l).total() * tokens);
      for (size_t e = 0; e <= last; ++e) {
        DepthTrace trace;
        trace.exit_layer = trace.n_time_mix = trace.n_channel_mix =
            static_cast<uint32_t>(table.layers[e]);
        flops[table.at(e, i)] += depth_flops(model, policy, trace, tokens);
      }
    }
  full /= static_cast<double>(table.n_example);
  std::vector<float> cost(table.n_example * points.size());
  for (size_t j = 0; j < points.size(); ++j) {
    const std::vector<size_t> exit = stops(rule, table, points[j]);
    for (size_t i = 0; i < exit.size(); ++i)
      cost[i * points.size() + j] = static_cast<float>(flops[table.at(exit[i], i)] / full);
  }
  return cost;
}

std::optional<size_t> choose_point(const ExitTarget& target, Matrix<const float> loss,
                                   Matrix<const float> cost) {
  using Kind = ExitTarget::Kind;
  switch (target.kind) {
    case Kind::kSpeed:
      return threshold_for_cost(cost, 1 / target.value);
    case Kind::kLoss:
      return threshold_for_loss(loss, target.value);
    case Kind::kRiskControl:
      return conformal_risk_control(loss, target.value);
    case Kind::kGuarantee: {
      const std::span<const float> all(loss.data(), loss.rows() * loss.cols());
      const bool binary = std::ranges::all_of(all, [](float l) { return l == 0 || l == 1; });
      return learn_then_test(loss, target.value, target.epsilon,
                             binary ? PValue::kBinomial : PValue::kHoeffdingBentkus);
    }
  }
  FATHOM_ASSERT(!"unknown target");
}

LearnedToExit fit_learned(const ExitRule& rule, const ExitExamples& examples, ExitLoss loss,
                          double tolerance, ThreadPool& pool) {
  ExitRule asked = rule;
  asked.learned.reset();
  const auto table_of = [&](Measure measure) {
    asked.measure = measure;
    return run_exits(asked, examples, loss, pool);
  };
  const ExitTable saturated = table_of(Measure::kSaturation);
  std::optional<ExitTable> probability, entropy;
  if (rule.n_class > 1) {
    probability = table_of(Measure::kMaxProbability);
    entropy = table_of(Measure::kEntropy);
  }
  const size_t width = width_of(rule), d_model = examples.cache.shape().dim;
  std::vector<float> inputs;
  std::vector<uint32_t> wrong;
  for (size_t e = 0; e + 1 < saturated.layers.size(); ++e) {
    const size_t layer = saturated.layers[e];
    const Postprocess& post = rule.post[layer];
    const size_t dim = post.out_dim(d_model);
    const std::vector<float> vectors = gather(examples.cache, layer, examples.rows, width);
    std::vector<float> u(dim), v(rule.pair ? dim : 0), in(dim + 3);
    for (size_t i = 0; i < saturated.n_example; ++i) {
      const float* from = vectors.data() + i * width * d_model;
      post.apply({from, d_model}, u);
      if (rule.pair) post.apply({from + d_model, d_model}, v);
      exit_vector(u, v, std::span(in).first(dim));
      const size_t at = saturated.at(e, i);
      in[dim] = probability ? probability->confidence[at] : 0;
      in[dim + 1] = entropy ? entropy->confidence[at] : 0;
      in[dim + 2] = saturated.confidence[at];
      inputs.insert(inputs.end(), in.begin(), in.end());
      wrong.push_back(saturated.loss[at] > tolerance);
    }
  }
  return fit_learned_to_exit(
      {inputs.data(), wrong.size(), inputs.size() / std::max<size_t>(wrong.size(), 1)}, wrong);
}

void fit_maps(ExitRule& rule, const FeatureCache& cache, std::span<const size_t> fitted,
              std::span<const size_t> judged, ThreadPool& pool) {
  constexpr double kKappas[] = {1e-2, 1, 1e2, 1e4, 1e6};
  const Vectors target = processed(rule, cache, rule.n_layer(), fitted),
                wanted = processed(rule, cache, rule.n_layer(), judged);
  pool.run(rule.exits.size(), [&](size_t e) {
    const size_t layer = rule.exits[e].layer;
    if (layer == rule.n_layer()) return;
    const Vectors from = processed(rule, cache, layer, fitted),
                  seen = processed(rule, cache, layer, judged);
    double best = -std::numeric_limits<double>::infinity();
    for (double kappa : kKappas) {
      std::vector<float> map = fit_linear_map(from.view(), target.view(), kappa);
      const double near = nearness(map, seen, wanted);
      if (near <= best) continue;
      best = near;
      rule.maps[layer] = std::move(map);
    }
  });
}

}  // namespace fathom
