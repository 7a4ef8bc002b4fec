// SPDX-License-Identifier: Apache-2.0
#include "depth/exit.h"

#include <algorithm>
#include <cmath>

#include "depth/work.h"

namespace fathom {
namespace {

// What one decision looks at: the vectors of a sentence, or of both of a pair.
struct View {
  std::vector<float> u, v;                // e'_l; v empty for a single sentence
  std::vector<float> u_before, v_before;  // e'_l-1, where the measure compares layers
};

std::vector<float> processed(const Postprocess& post, std::span<const float> e) {
  std::vector<float> out(post.out_dim(e.size()));
  post.apply(e, out);
  return out;
}

View view_of(const ExitRule& rule, const Boundary& at, size_t s) {
  View view;
  view.u = processed(rule.post[at.layer], at.pooled.row(s));
  if (rule.pair) view.v = processed(rule.post[at.layer], at.pooled.row(s + 1));
  if (!traits_of(rule.measure).compares_layers) return view;
  const Postprocess& before = rule.post[at.layer - 1];
  view.u_before = processed(before, at.previous.row(s));
  if (rule.pair) view.v_before = processed(before, at.previous.row(s + 1));
  return view;
}

// The answer of the exit's head, and how it compares with that of the exit before.
struct Answer {
  std::vector<double> logits, probability;  // (n_class); a regression has its value in logits
  std::vector<float> features;
};

Answer answer_of(const ExitRule& rule, const ExitPoint& exit, const View& view) {
  Answer a;
  if (rule.n_class == 0) return a;
  a.features.resize(feature_dim(rule.features, view.u.size()));
  build_features(rule.features, view.u, view.v, a.features);
  a.logits.resize(rule.n_class);
  if (rule.n_class == 1) {
    a.logits[0] = exit.head.value(a.features);
  } else {
    exit.head.logits(a.features, a.logits);
    a.probability.resize(rule.n_class);
    softmax(a.logits, a.probability);
  }
  return a;
}

// What a sequence (the first of a pair) carries from exit to exit.
class Memory {
 public:
  explicit Memory(std::span<double> scratch) : scratch_(scratch) {}
  bool has_last() const { return scratch_[1] > 0; }
  // Probabilities or a value; empty at the first exit.
  std::span<const double> last() const {
    return has_last() ? scratch_.subspan(2) : std::span<double>();
  }
  // One more time in a row, or not; the count.
  double count(bool again) { return scratch_[0] = again ? scratch_[0] + 1 : 0; }
  void remember(std::span<const double> answer) {
    scratch_[1] = 1;
    std::ranges::copy(answer, scratch_.begin() + 2);
  }

 private:
  std::span<double> scratch_;
};

struct Verdict {
  double confidence;
  bool sure;
};

Verdict judge(const ExitRule& rule, const ExitPoint& exit, const View& view, const Answer& a,
              Memory& memory) {
  const MeasureTraits& m = traits_of(rule.measure);
  const double value = m.value({.u = view.u,
                                .v = view.v,
                                .u_before = view.u_before,
                                .v_before = view.v_before,
                                .features = a.features,
                                .logits = a.logits,
                                .probability = a.probability,
                                .last = memory.last(),
                                .prototypes = &exit.prototypes,
                                .alpha = rule.alpha,
                                .learned = rule.learned ? &*rule.learned : nullptr});
  const bool holds = (!m.compares_exits || memory.has_last()) && rule.holds(value, exit.threshold);
  const double streak = static_cast<double>(rule.streak),
               count = m.in_a_row ? memory.count(holds) : 0;
  const double confidence = m.compare == Compare::kAtLeast ? value
                            : m.compare == Compare::kBelow ? 1 - value / m.range
                                                           : std::min(1.0, count / streak);
  return {confidence, m.in_a_row ? count >= streak : holds};
}

}  // namespace

bool ExitRule::holds(double value, double threshold) const {
  if (traits_of(measure).compare == Compare::kAtLeast) return value >= threshold;
  return has_threshold() ? value < threshold : value == 0;
}

const ExitPoint* ExitRule::exit_at(size_t layer) const {
  const auto at = std::ranges::lower_bound(exits, layer, {}, &ExitPoint::layer);
  return at != exits.end() && at->layer == layer ? &*at : nullptr;
}

bool EarlyExit::reads_pooled(size_t layer) const {
  return rule_.exit_at(layer) ||
         (traits_of(rule_.measure).compares_layers && rule_.exit_at(layer + 1));
}

void EarlyExit::decide(const Boundary& at, std::span<Step> steps) const {
  std::ranges::fill(steps, Step::kBlock);
  const ExitPoint* exit = rule_.exit_at(at.layer);
  if (!exit) return;
  const size_t together = rule_.pair ? 2 : 1;
  for_each_task(at.threads, steps.size() / together, [&](size_t i) {
    const size_t s = i * together;
    if (is_sure(at, *exit, s))
      std::fill_n(steps.begin() + static_cast<std::ptrdiff_t>(s), together, Step::kStop);
    if (rule_.pair) {
      DepthTrace& second = at.trace[s + 1];
      second.predicted_class = at.trace[s].predicted_class;
      second.predicted_value = at.trace[s].predicted_value;
      second.confidence = at.trace[s].confidence;
    }
  });
}

bool EarlyExit::is_sure(const Boundary& at, const ExitPoint& exit, size_t s) const {
  const View view = view_of(rule_, at, s);
  const Answer answer = answer_of(rule_, exit, view);
  Memory memory(at.scratch.row(s));
  const Verdict verdict = judge(rule_, exit, view, answer, memory);
  DepthTrace& trace = at.trace[s];
  trace.confidence = static_cast<float>(verdict.confidence);
  if (rule_.pair) trace.predicted_value = static_cast<float>(cosine_of(view.u, view.v));
  if (rule_.n_class == 1) {
    trace.predicted_value = static_cast<float>(answer.logits[0]);
    memory.remember(answer.logits);
  } else if (rule_.n_class >= 2) {
    trace.predicted_class = static_cast<int32_t>(argmax(answer.probability));
    memory.remember(answer.probability);
  }
  return verdict.sure;
}

void EarlyExit::finish(size_t layer, std::span<const float> pooled, std::span<float> out) const {
  const std::vector<float> e = processed(rule_.post[layer], pooled);
  const std::vector<float>& map = rule_.maps[layer];
  if (map.empty()) {
    FATHOM_ASSERT(out.size() == e.size());
    std::ranges::copy(e, out.begin());
    return;
  }
  FATHOM_ASSERT(map.size() == e.size() * out.size());
  std::vector<double> sum(out.size(), 0);
  for (size_t i = 0; i < e.size(); ++i) {
    const double x = e[i];
    const float* row = map.data() + i * out.size();
    for (size_t j = 0; j < out.size(); ++j) sum[j] += x * row[j];
  }
  for (size_t j = 0; j < out.size(); ++j) out[j] = static_cast<float>(sum[j]);
}

double EarlyExit::decision_flops(size_t layer, size_t d_model) const {
  const ExitPoint* exit = rule_.exit_at(layer);
  if (!exit) return 0;
  const double share = rule_.pair ? 0.5 : 1,
               dim = static_cast<double>(rule_.post[layer].out_dim(d_model));
  constexpr double kCosine = 6;  // three sums of products, a number
  double flops = postprocess_flops(rule_.post[layer], d_model);
  if (traits_of(rule_.measure).compares_layers) {
    flops += postprocess_flops(rule_.post[layer - 1], d_model);
    flops += kCosine * dim;  // of this sentence across layers, or of the pair in both: 2 / 2
  }
  if (rule_.pair) flops += share * kCosine * dim;  // predicted_value
  if (rule_.n_class > 0) {
    const auto n_feature = static_cast<double>(exit->head.n_feature());
    if (rule_.pair) flops += share * (3 + kCosine) * dim;  // |u - v|, u v, cos
    flops += share * 2 * static_cast<double>(exit->head.weight.size());
    if (traits_of(rule_.measure).needs_prototypes)
      flops += share * 4 * n_feature * static_cast<double>(rule_.n_class);
  }
  if (traits_of(rule_.measure).needs_learned)
    flops += share * ((rule_.pair ? 2 : 0) * dim + 2 * (dim + 3));
  return flops;
}

double EarlyExit::finish_flops(size_t layer, size_t d_model) const {
  return postprocess_flops(rule_.post[layer], d_model) +
         2 * static_cast<double>(rule_.maps[layer].size());
}

}  // namespace fathom
