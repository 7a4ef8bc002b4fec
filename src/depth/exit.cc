// SPDX-License-Identifier: Apache-2.0
#include "depth/exit.h"

#include <algorithm>
#include <cmath>

#include "depth/work.h"
#include "probe/confidence.h"

namespace fathom {
namespace {

// What one decision looks at: the vectors of a sentence, or of both of a pair.
struct View {
  std::vector<float> u, v;                // e'_l; v empty for a single sentence
  std::vector<float> u_before, v_before;  // e'_l-1, where the measure compares layers

  double saturation() const {
    const double c = fathom::saturation(u, u_before);
    return v.empty() ? c : std::min(c, fathom::saturation(v, v_before));
  }
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
  if (!compares_layers(rule.measure)) return view;
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
  std::span<const double> last() const { return scratch_.subspan(2); }  // probabilities or a value
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

Verdict patience(const ExitRule& rule, const ExitPoint& exit, const Answer& a, Memory& memory) {
  const bool same = memory.has_last() &&
                    (rule.n_class == 1 ? std::abs(a.logits[0] - memory.last()[0]) < exit.threshold
                                       : argmax(a.probability) == argmax(memory.last()));
  const double count = memory.count(same), streak = static_cast<double>(rule.streak);
  return {std::min(1.0, count / streak), count >= streak};
}

Verdict judge(const ExitRule& rule, const ExitPoint& exit, const View& view, const Answer& a,
              Memory& memory) {
  const double streak = static_cast<double>(rule.streak);
  const auto at_least = [&](double c) { return Verdict{c, c >= exit.threshold}; };
  switch (rule.measure) {
    case Measure::kMaxProbability:
      return at_least(max_probability(a.probability));
    case Measure::kMargin:
      return at_least(margin(a.probability));
    case Measure::kEntropy:
      return at_least(entropy_confidence(a.logits));
    case Measure::kPatience:
      return patience(rule, exit, a, memory);
    case Measure::kPcee: {
      const double c = entropy_confidence(a.logits);
      return {c, memory.count(c >= exit.threshold) >= streak};
    }
    case Measure::kFpabee: {
      const double js = memory.has_last() ? js_divergence(a.probability, memory.last()) : 1;
      return {1 - js, memory.count(memory.has_last() && js < exit.threshold) >= streak};
    }
    case Measure::kSaturation:
      return at_least(view.saturation());
    case Measure::kScore: {
      const double change =
          std::abs(cosine_of(view.u, view.v) - cosine_of(view.u_before, view.v_before));
      return {1 - change / 2, memory.count(change < exit.threshold) >= streak};
    }
    case Measure::kPrototype: {
      std::vector<double> distances(rule.n_class);
      exit.prototypes.distances(a.features, distances);
      return at_least(prototype_confidence(distances, a.logits, rule.alpha));
    }
    case Measure::kLearned: {
      std::vector<float> e(view.u.size());
      exit_vector(view.u, view.v, e);
      const bool classes = rule.n_class >= 2;
      const double q = rule.learned->probability_wrong(
          e, classes ? max_probability(a.probability) : 0,
          classes ? entropy_confidence(a.logits) : 0, view.saturation());
      return {1 - q, q < exit.threshold};
    }
  }
  FATHOM_ASSERT(!"unknown Measure");
}

}  // namespace

std::string_view name_of(Measure measure) {
  switch (measure) {
    case Measure::kMaxProbability:
      return "max-prob";
    case Measure::kMargin:
      return "margin";
    case Measure::kEntropy:
      return "entropy";
    case Measure::kPatience:
      return "patience";
    case Measure::kPcee:
      return "pcee";
    case Measure::kFpabee:
      return "f-pabee";
    case Measure::kSaturation:
      return "saturation";
    case Measure::kScore:
      return "score";
    case Measure::kPrototype:
      return "prototype";
    case Measure::kLearned:
      return "learned";
  }
  FATHOM_ASSERT(!"unknown Measure");
}

Measure parse_measure(std::string_view name) {
  std::string names;
  for (Measure m : kMeasures) {
    if (name == name_of(m)) return m;
    names += concat(names.empty() ? "" : ", ", name_of(m));
  }
  throw Error(concat("measure: expected one of ", names, ", got '", name, "'"));
}

bool needs_classes(Measure m) {
  return m == Measure::kMaxProbability || m == Measure::kMargin || m == Measure::kEntropy ||
         m == Measure::kPcee || m == Measure::kFpabee || m == Measure::kPrototype;
}

bool compares_layers(Measure m) {
  return m == Measure::kSaturation || m == Measure::kScore || m == Measure::kLearned;
}

const ExitPoint* ExitRule::exit_at(size_t layer) const {
  const auto at = std::ranges::lower_bound(exits, layer, {}, &ExitPoint::layer);
  return at != exits.end() && at->layer == layer ? &*at : nullptr;
}

bool EarlyExit::reads_pooled(size_t layer) const {
  return rule_.exit_at(layer) || (compares_layers(rule_.measure) && rule_.exit_at(layer + 1));
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
  if (compares_layers(rule_.measure)) {
    flops += postprocess_flops(rule_.post[layer - 1], d_model);
    flops += kCosine * dim;  // of this sentence across layers, or of the pair in both: 2 / 2
  }
  if (rule_.pair) flops += share * kCosine * dim;  // predicted_value
  if (rule_.n_class > 0) {
    const auto n_feature = static_cast<double>(exit->head.n_feature());
    if (rule_.pair) flops += share * (3 + kCosine) * dim;  // |u - v|, u v, cos
    flops += share * 2 * static_cast<double>(exit->head.weight.size());
    if (rule_.measure == Measure::kPrototype)
      flops += share * 4 * n_feature * static_cast<double>(rule_.n_class);
  }
  if (rule_.measure == Measure::kLearned)
    flops += share * ((rule_.pair ? 2 : 0) * dim + 2 * (dim + 3));
  return flops;
}

double EarlyExit::finish_flops(size_t layer, size_t d_model) const {
  return postprocess_flops(rule_.post[layer], d_model) +
         2 * static_cast<double>(rule_.maps[layer].size());
}

}  // namespace fathom
