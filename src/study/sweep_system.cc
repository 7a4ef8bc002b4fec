// SPDX-License-Identifier: Apache-2.0
#include "study/sweep_system.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "depth/mask.h"

namespace fathom {
namespace {

// What heads of one input answer on every split, and what reading and multiplying them costs.
class System {
 public:
  System(const SweepTask& t, const InputHeads& from, bool ensemble)
      : t_(t), heads_(from.heads), ensemble_(ensemble), rule_(head_costs()) {
    for (const bool exits : {false, true})
      for (size_t l = 1; l <= t.n_layer(); ++l) costs_[exits].push_back(cost_of(l, exits));
    const auto answers = [&](std::span<const InputHead> heads, const SweepRows& of) {
      HeadAnswers a = answers_of(t, heads, of.split, of.rows);
      return ensemble ? ensemble_of(a) : a;
    };
    tune_ = answers(from.heads, tune_of(t));
    calibration_ = answers(from.heads, calibration_of(t));
    evaluated_ = answers(from.heads, evaluated_of(t));
    refitted_ = answers(from.refitted, evaluated_of(t));
  }

  std::vector<MethodPoint> fixed() const {
    std::vector<MethodPoint> points;
    for (size_t l = 1; l <= t_.n_layer(); ++l)
      points.push_back({.setting = concat("layer ", l),
                        .calibration = at_layer(calibration_, calibration_of(t_), l),
                        .evaluated = at_layer(evaluated_, evaluated_of(t_), l)});
    return points;
  }
  std::vector<Outcomes> refitted() const {
    std::vector<Outcomes> all;
    for (size_t l = 1; l <= t_.n_layer(); ++l)
      all.push_back(at_layer(refitted_, evaluated_of(t_), l));
    return all;
  }
  Method exits(Measure measure, const SweepOptions& options) const {
    ExitRule rule = make_rule(t_, measure, all_exits(t_), options);
    const auto run = [&](const HeadAnswers& answers, const SweepRows& of) {
      ExitRun run{exit_table(rule, answers, t_.range()), {}};
      for (size_t layer : run.table.layers)
        for (size_t i = 0; i < of.rows.size(); ++i) run.flops.push_back(flops(of, i, layer, true));
      return run;
    };
    const ExitRuns runs{exit_table(rule, tune_, t_.range()), run(calibration_, calibration_of(t_)),
                        run(evaluated_, evaluated_of(t_))};
    return exit_method(t_, std::move(rule), runs, options);
  }

 private:
  // A rule with these heads at every layer, asked for what a decision costs.
  EarlyExit head_costs() const {
    const Measure measure = t_.task.n_class() > 1 ? Measure::kMaxProbability : Measure::kPatience;
    ExitRule rule = make_rule(t_, measure, all_exits(t_), {});
    for (size_t i = 0; i < heads_.size(); ++i) {
      rule.exits[i].head = heads_[i].fitted.head;
      rule.post[i + 1] = heads_[i].post;
    }
    return EarlyExit("heads", std::move(rule));
  }

  // What heads cost a sentence that leaves at a layer, beside the blocks.
  struct Cost {
    double heads = 0;
    size_t n_pooled = 0;  // boundaries that are pooled for them alone
  };
  // At fixed depth the heads below the layer are not asked, but by an ensemble.
  Cost cost_of(size_t layer, bool exits) const {
    const size_t d = t_.cost.d_model;
    Cost cost;
    std::set<size_t> read;
    for (size_t l = exits || ensemble_ ? 1 : layer; l <= layer; ++l) {
      const HeadReading& reading = heads_[l - 1].reading;
      read.insert(reading.layers.begin(), reading.layers.end());
      cost.heads += rule_.decision_flops(l, reading.dim(d)) +
                    2 * static_cast<double>(reading.weights.size() * d);
    }
    read.erase(layer);  // the vector that is returned is pooled in every method
    cost.heads += rule_.finish_flops(layer, heads_[layer - 1].reading.dim(d));
    cost.n_pooled = read.size();
    return cost;
  }

  double flops(const SweepRows& of, size_t i, size_t layer, bool exits) const {
    const Cost& cost = costs_[exits][layer - 1];
    const FixedDepth blocks(layer);
    DepthTrace trace;
    trace.exit_layer = trace.n_time_mix = trace.n_channel_mix = static_cast<uint32_t>(layer);
    double sum = 0;
    for (size_t s = 0; s < width_of(t_); ++s) {
      const size_t n_token = of.split.n_token[of.rows[i] * width_of(t_) + s];
      sum += depth_flops(t_.cost, blocks, trace, n_token) + cost.heads +
             static_cast<double>(cost.n_pooled * n_token * t_.cost.d_model);
    }
    return sum;
  }

  Outcomes at_layer(const HeadAnswers& answers, const SweepRows& of, size_t layer) const {
    Outcomes out;
    for (size_t i = 0; i < of.rows.size(); ++i) {
      out.answer.push_back(answers.answer(layer, i));
      out.flops.push_back(flops(of, i, layer, false));
      out.layer.push_back(static_cast<uint32_t>(layer));
    }
    return out;
  }

  const SweepTask& t_;
  std::span<const InputHead> heads_;
  bool ensemble_;
  EarlyExit rule_;
  std::vector<Cost> costs_[2];  // of fixed depth and of exits, (n_layer) each
  HeadAnswers tune_, calibration_, evaluated_, refitted_;
};

// Example by example what the exits said so far, so that a formula can compare them.
void fill_example(const ExitRule& rule, const HeadAnswers& answers, size_t i, ExitTable& table) {
  const MeasureTraits& m = traits_of(rule.measure);
  std::vector<double> p(answers.n_class), before;
  const bool classes = answers.n_class > 1;
  for (size_t e = 0; e < table.layers.size(); ++e) {
    const std::span<const double> z = answers.at(table.layers[e], i);
    if (classes) softmax(z, p);
    const double value =
        m.value({.u = {},
                 .v = {},
                 .u_before = {},
                 .v_before = {},
                 .features = {},
                 .logits = z,
                 .probability = classes ? std::span<const double>(p) : std::span<const double>(),
                 .last = before});
    // Of what agrees the table's readers look at the answers themselves.
    const double confidence = m.compare == Compare::kAtLeast ? value : 1 - value / m.range;
    table.confidence[table.at(e, i)] = static_cast<float>(confidence);
    table.answer[table.at(e, i)] = static_cast<float>(answers.answer(table.layers[e], i));
    const std::span<const double> said = classes ? std::span<const double>(p) : z;
    before.assign(said.begin(), said.end());
  }
}

}  // namespace

std::string SweepSystem::name() const {
  return concat(name_of(input), ensemble ? ", ensemble" : "");
}

bool goes_by_answers(Measure measure) {
  const MeasureTraits& m = traits_of(measure);
  return !m.needs_pair && !m.needs_prototypes && !m.needs_learned && !m.compares_layers;
}

ExitTable exit_table(const ExitRule& rule, const HeadAnswers& answers, double range) {
  FATHOM_ASSERT(goes_by_answers(rule.measure));
  ExitTable table;
  table.n_example = answers.n_example;
  for (const ExitPoint& exit : rule.exits) table.layers.push_back(exit.layer);
  const size_t size = table.layers.size() * table.n_example, last = table.layers.size() - 1;
  table.confidence.resize(size);
  table.answer.resize(size);
  table.loss.resize(size);
  for (size_t i = 0; i < table.n_example; ++i) {
    fill_example(rule, answers, i, table);
    const double full = double{table.answer[table.at(last, i)]};
    for (size_t e = 0; e <= last; ++e) {
      const double far = std::abs(double{table.answer[table.at(e, i)]} - full);
      table.loss[table.at(e, i)] = static_cast<float>(
          answers.n_class == 1 ? std::min(1.0, far / range) : (far == 0 ? 0.0 : 1.0));
    }
  }
  return table;
}

SweepSystem plain_system(const SweepTask& t, std::span<const MethodPoint> layers,
                         const InputHeads& heads, std::span<const Measure> measures,
                         const SweepOptions& options) {
  SweepSystem system{.fixed = {layers.begin() + 1, layers.end()}, .refitted = {}, .exits = {}};
  const SweepRows rows = evaluated_of(t);
  const HeadAnswers refitted = answers_of(t, heads.refitted, rows.split, rows.rows);
  for (size_t l = 1; l <= t.n_layer(); ++l) {
    Outcomes out = layers[l].evaluated;
    for (size_t i = 0; i < out.answer.size(); ++i) out.answer[i] = refitted.answer(l, i);
    system.refitted.push_back(std::move(out));
  }
  for (Measure m : distinct_measures(measures, t.task))
    if (fits_task(m, t.task)) system.exits.push_back(exit_method(t, m, options));
  return system;
}

std::vector<SweepSystem> systems_of(const SweepTask& t, const InputHeads& heads,
                                    std::span<const Measure> measures,
                                    const SweepOptions& options) {
  SweepOptions how = options;
  how.n_shuffle = 0;  // of the plain exits alone
  std::vector<SweepSystem> systems;
  for (const bool ensemble : {false, true}) {
    if (heads.input == HeadInput::kLayer && !ensemble) continue;
    const System from(t, heads, ensemble);
    SweepSystem system{.input = heads.input,
                       .ensemble = ensemble,
                       .fixed = from.fixed(),
                       .refitted = from.refitted(),
                       .exits = {}};
    for (Measure m : distinct_measures(measures, t.task))
      if (fits_task(m, t.task) && goes_by_answers(m)) system.exits.push_back(from.exits(m, how));
    systems.push_back(std::move(system));
  }
  return systems;
}

}  // namespace fathom
