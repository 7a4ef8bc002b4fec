// SPDX-License-Identifier: Apache-2.0
// Early exit: every measure against its formula (docs/methods.md) written out in double precision;
// what is returned; what a rule must be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "depth/exit.h"
#include "encode/depth_encode.h"
#include "encode/exit_rules.h"
#include "encode/telltale_model.h"

namespace fathom::test::depth_exit_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

using Vector = std::vector<double>;

// ---- the formulas, literally

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double cos_of(const Vector& a, const Vector& b) {
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}
Vector as_double(std::span<const float> v) { return {v.begin(), v.end()}; }

Vector literal_post(const Postprocess& post, std::span<const float> e) {
  Vector x = as_double(e);
  if (post.mean.empty()) return x;
  for (size_t i = 0; i < x.size(); ++i) x[i] -= post.mean[i];
  if (post.matrix.empty()) return x;
  Vector y;
  for (size_t i = 0; i < post.matrix.size(); i += x.size())
    y.push_back(dot(as_double(std::span(post.matrix).subspan(i, x.size())), x));
  return y;
}

Vector literal_features(const ExitRule& rule, const Vector& u, const Vector& v) {
  if (!rule.pair) return u;
  Vector f;
  for (size_t i = 0; i < u.size(); ++i) f.push_back(std::abs(u[i] - v[i]));
  for (size_t i = 0; i < u.size(); ++i) f.push_back(u[i] * v[i]);
  f.push_back(cos_of(u, v));
  return f;
}

Vector literal_logits(const LinearHead& head, const Vector& f) {
  Vector z;
  for (size_t row = 0; row < head.n_row(); ++row)
    z.push_back((dot(as_double(std::span(head.weight).subspan(row * f.size(), f.size())), f) +
                 head.bias[row]) /
                (head.n_class == 1 ? 1 : head.temperature));
  if (head.n_class == 2) z.insert(z.begin(), 0);
  return z;
}

Vector literal_softmax(const Vector& z) {
  Vector p;
  double sum = 0;
  for (double v : z) sum += std::exp(v);
  for (double v : z) p.push_back(std::exp(v) / sum);
  return p;
}

double literal_entropy(const Vector& p) {  // in units of ln K
  double h = 0;
  for (double v : p) h -= v * std::log(v);
  return h / std::log(static_cast<double>(p.size()));
}

double literal_js(const Vector& p, const Vector& q) {
  double js = 0;
  for (size_t k = 0; k < p.size(); ++k) {
    const double m = (p[k] + q[k]) / 2;
    js += (p[k] * std::log(p[k] / m) + q[k] * std::log(q[k] / m)) / 2;
  }
  return js / std::log(2.0);
}

struct Literal {
  bool stops = false;
  double confidence = 0;
  int predicted_class = -1;
  double value = std::nan("");
};

// One sentence, or one pair, on its way through the layers.
class LiteralExit {
 public:
  explicit LiteralExit(const ExitRule& rule) : rule_(rule) {}

  // e, before: pooled vectors of one sentence or of two, at this layer and the one before.
  Literal at(const ExitPoint& exit, const std::vector<std::vector<float>>& e,
             const std::vector<std::vector<float>>& before) {
    std::vector<Vector> now, then;
    for (const auto& x : e) now.push_back(literal_post(rule_.post[exit.layer], x));
    for (const auto& x : before) then.push_back(literal_post(rule_.post[exit.layer - 1], x));
    Literal out;
    if (rule_.pair) out.value = cos_of(now[0], now[1]);
    Vector features, z, p;
    if (rule_.n_class > 0) {
      features = literal_features(rule_, now[0], rule_.pair ? now[1] : Vector());
      z = literal_logits(exit.head, features);
      if (rule_.n_class == 1) out.value = z[0];
      if (rule_.n_class >= 2) {
        p = literal_softmax(z);
        out.predicted_class = static_cast<int>(std::ranges::max_element(p) - p.begin());
      }
    }
    judge(exit, now, then, features, z, p, out);
    last_p_ = p;
    last_value_ = z.empty() ? 0 : z[0];
    seen_ = true;
    return out;
  }

 private:
  void judge(const ExitPoint& exit, const std::vector<Vector>& now, const std::vector<Vector>& then,
             const Vector& features, const Vector& z, const Vector& p, Literal& out) {
    Vector sorted = p;
    std::sort(sorted.rbegin(), sorted.rend());
    double saturation = 1;
    for (size_t i = 0; i < then.size(); ++i)
      saturation = std::min(saturation, std::max(0.0, cos_of(now[i], then[i])));
    const double threshold = exit.threshold, t = static_cast<double>(rule_.streak);
    const auto again = [&](bool yes) { return count_ = yes ? count_ + 1 : 0; };
    switch (rule_.measure) {
      case Measure::kMaxProbability:
        out = {sorted[0] >= threshold, sorted[0], out.predicted_class, out.value};
        break;
      case Measure::kMargin:
        out.confidence = sorted[0] - sorted[1];
        out.stops = out.confidence >= threshold;
        break;
      case Measure::kEntropy:
        out.confidence = 1 - literal_entropy(p);
        out.stops = out.confidence >= threshold;
        break;
      case Measure::kPatience: {
        const bool same =
            rule_.n_class == 1
                ? std::abs(z[0] - last_value_) < threshold
                : !last_p_.empty() &&
                      std::ranges::max_element(last_p_) - last_p_.begin() == out.predicted_class;
        out.stops = again(seen_ && same) >= t;
        out.confidence = std::min(1.0, count_ / t);
        break;
      }
      case Measure::kPcee:
        out.confidence = 1 - literal_entropy(p);
        out.stops = again(out.confidence >= threshold) >= t;
        break;
      case Measure::kFpabee: {
        const double js = seen_ ? literal_js(p, last_p_) : 1;
        out.confidence = 1 - js;
        out.stops = again(seen_ && js < threshold) >= t;
        break;
      }
      case Measure::kSaturation:
        out.confidence = saturation;
        out.stops = saturation >= threshold;
        break;
      case Measure::kScore: {
        const double change = std::abs(cos_of(now[0], now[1]) - cos_of(then[0], then[1]));
        out.confidence = 1 - change / 2;
        out.stops = again(change < threshold) >= t;
        break;
      }
      case Measure::kPrototype: {
        Vector r;
        for (size_t k = 0; k < rule_.n_class; ++k) {
          double sum = 0;
          for (size_t i = 0; i < features.size(); ++i)
            sum += std::pow((features[i] - exit.prototypes.mean[k * features.size() + i]) *
                                exit.prototypes.scale[i],
                            2);
          r.push_back(std::sqrt(sum));
        }
        std::ranges::sort(r);
        const double dr = 0.5 * (1 + (r[0] - r[1]) / std::max(r[0], r[1]));
        const double a = rule_.alpha;
        out.confidence =
            1 - (a + 1) / (a / std::max(dr, 1e-6) + 1 / std::max(literal_entropy(p), 1e-6));
        out.stops = out.confidence >= threshold;
        break;
      }
      case Measure::kLearned: {
        Vector x = now[0];
        if (rule_.pair)
          for (size_t i = 0; i < x.size(); ++i) x[i] = std::abs(now[0][i] - now[1][i]);
        x.push_back(p.empty() ? 0 : sorted[0]);
        x.push_back(p.empty() ? 0 : 1 - literal_entropy(p));
        x.push_back(saturation);
        const double q =
            1 / (1 + std::exp(-dot(as_double(rule_.learned->weight), x) - rule_.learned->bias));
        out.confidence = 1 - q;
        out.stops = q < threshold;
        break;
      }
    }
  }

  const ExitRule& rule_;
  double count_ = 0, last_value_ = 0;
  bool seen_ = false;
  Vector last_p_;
};

// ---- every measure

constexpr size_t kDim = 7, kLayers = 8, kSequences = 24;

// Pooled vectors that change from layer to layer a little less each time, (n_layer + 1, n, dim).
std::vector<std::vector<std::vector<float>>> drifting(RuleMaker& make) {
  std::vector<std::vector<std::vector<float>>> all(kLayers + 1);
  for (size_t s = 0; s < kSequences; ++s) all[0].push_back(make.numbers(kDim));
  for (size_t l = 1; l <= kLayers; ++l)
    for (size_t s = 0; s < kSequences; ++s) {
      std::vector<float> v = all[l - 1][s];
      for (float& x : v) x += make.uniform(-1, 1) * 1.5f / static_cast<float>(l);
      all[l].push_back(std::move(v));
    }
  return all;
}

// A value that most confidences lie below, and some above.
double upper_quartile(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t i = values.size() * 3 / 4;
  return (values[i] + values[i - 1]) / 2;
}

class EveryMeasure : public testing::TestWithParam<std::tuple<Measure, bool, size_t>> {};

// Runs the policy over the boundaries as the encoder does, all sequences live to the end, and
// compares every decision. Returns how many stops there were and the confidences.
struct Compared {
  size_t n_stop = 0, n_go = 0;
  std::vector<double> confidences;
};
Compared compare(const ExitRule& rule, const std::vector<std::vector<std::vector<float>>>& all) {
  rule.check(kLayers, kDim);
  const EarlyExit policy("exit", rule);
  const size_t together = rule.pair ? 2 : 1;
  std::vector<DepthTrace> trace(kSequences);
  std::vector<double> scratch(kSequences * policy.scratch(), 0);
  std::vector<uint32_t> pair;
  for (uint32_t s = 0; s < kSequences; ++s) pair.push_back(s / static_cast<uint32_t>(together));
  std::vector<LiteralExit> literal(kSequences / together, LiteralExit(rule));
  Compared result;
  std::vector<float> pooled, previous;
  for (size_t l = 0; l <= kLayers; ++l) {
    std::vector<Step> steps(kSequences, Step::kSkip);
    pooled.clear();
    if (policy.reads_pooled(l))
      for (const auto& v : all[l]) pooled.insert(pooled.end(), v.begin(), v.end());
    const auto rows = [](const std::vector<float>& v) {
      return Matrix<const float>(v.data(), v.size() / kDim, kDim);
    };
    policy.decide({.layer = l,
                   .pooled = rows(pooled),
                   .previous = rows(previous),
                   .pair = pair,
                   .scratch = {scratch.data(), kSequences, policy.scratch()},
                   .trace = trace},
                  steps);
    if (!pooled.empty()) previous = pooled;
    const ExitPoint* exit = rule.exit_at(l);
    for (size_t i = 0; i < literal.size(); ++i) {
      const size_t s = i * together;
      for (size_t j = s; j < s + together; ++j) EXPECT_EQ(steps[j], steps[s]);
      if (!exit) {
        EXPECT_EQ(steps[s], Step::kBlock);
        continue;
      }
      std::vector<std::vector<float>> e, before;
      for (size_t j = s; j < s + together; ++j) {
        e.push_back(all[l][j]);
        if (traits_of(rule.measure).compares_layers) before.push_back(all[l - 1][j]);
      }
      const Literal want = literal[i].at(*exit, e, before);
      EXPECT_NEAR(trace[s].confidence, want.confidence, 2e-5);
      EXPECT_EQ(steps[s] == Step::kStop, want.stops) << want.confidence;
      EXPECT_EQ(trace[s].predicted_class, want.predicted_class);
      if (std::isnan(want.value))
        EXPECT_TRUE(std::isnan(trace[s].predicted_value));
      else
        EXPECT_NEAR(trace[s].predicted_value, want.value, 1e-4);
      want.stops ? ++result.n_stop : ++result.n_go;
      result.confidences.push_back(want.confidence);
      if (rule.pair) {
        EXPECT_EQ(trace[s + 1].confidence, trace[s].confidence);
        EXPECT_EQ(trace[s + 1].predicted_class, trace[s].predicted_class);
      }
    }
  }
  return result;
}

TEST_P(EveryMeasure, IsItsFormula) {
  const auto [measure, pair, n_class] = GetParam();
  size_t n_stop = 0, n_go = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    RuleMaker make(seed);
    const auto all = drifting(make);
    ExitRule rule = make.rule(measure, pair, kLayers, kDim, {2, 3, 5, 6, 7, 8}, n_class);
    if (seed % 2) make.add_post(rule, kDim);
    rule.streak = seed > 2 ? 2 : 1;
    rule.alpha = 0.5 + static_cast<double>(seed);
    const double c = upper_quartile(compare(rule, all).confidences);
    for (ExitPoint& e : rule.exits)
      e.threshold = measure == Measure::kPatience                                 ? 1
                    : measure == Measure::kScore                                  ? 2 * (1 - c)
                    : measure == Measure::kFpabee || measure == Measure::kLearned ? 1 - c
                                                                                  : c;
    const Compared got = compare(rule, all);
    n_stop += got.n_stop;
    n_go += got.n_go;
  }
  EXPECT_GT(n_stop, 5u) << "the thresholds test nothing";
  EXPECT_GT(n_go, 5u) << "the thresholds test nothing";
}

std::vector<std::tuple<Measure, bool, size_t>> measure_cases() {
  std::vector<std::tuple<Measure, bool, size_t>> cases;
  for (Measure m : kMeasures)
    for (bool pair : {false, true}) {
      if (m == Measure::kScore && !pair) continue;
      cases.emplace_back(m, pair, 0);
      if (m != Measure::kSaturation && m != Measure::kScore) cases.emplace_back(m, pair, 2);
      if (m == Measure::kPatience) cases.emplace_back(m, pair, 1);
    }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Measures, EveryMeasure, testing::ValuesIn(measure_cases()),
                         [](const auto& info) {
                           std::string name =
                               concat(name_of(std::get<0>(info.param)),
                                      std::get<1>(info.param) ? "_pair_" : "_single_",
                                      std::get<2>(info.param));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// ---- in the encoder

TEST(EarlyExit, AnImpossibleThresholdIsAllLayers) {
  for (Version version : {Version::kV6, Version::kV7}) {
    const Model model = open_blinkdl(small(version, 4), cpu_backend());
    const Texts texts = some_texts();
    EncodeOptions options = all_layers(4);
    const Encoded all = encode(model, options, texts);
    options.layers.clear();
    for (Measure measure : kMeasures)
      for (bool pair : {false, true}) {
        if (measure == Measure::kScore && !pair) continue;
        RuleMaker make(7);
        ExitRule rule = make.rule(measure, pair, 4, 40, {1, 2, 3});
        make_impossible(rule);
        rule.check(4, 40);
        const DepthEncoded e = encode_depth(model, EarlyExit("exit", rule), options, texts);
        for (size_t t = 0; t < texts.size(); ++t) {
          EXPECT_TRUE(same_bits(e.row(t), row(all, 4, t, texts.size()))) << name_of(measure);
          EXPECT_EQ(e.trace[t].n_sublayer(), 8u);
        }
      }
  }
}

TEST(EarlyExit, StopsWhereItIsSure) {
  const Model model = open_blinkdl(telltale_model(Version::kV6, 5), cpu_backend());
  const Texts texts = some_texts();
  // Every block changes the vector a little: the cosine with the layer before passes 0.95 somewhere.
  RuleMaker make(1);
  ExitRule rule = make.rule(Measure::kSaturation, false, 5, 24, {1, 2, 3, 4});
  for (double threshold : {0.0, 0.9, 0.93, 0.95, 2.0}) {
    set_thresholds(rule, threshold);
    const DepthEncoded e = encode_depth(model, EarlyExit("exit", rule), {}, texts);
    Workspace work(1);
    for (size_t t = 0; t < texts.size(); ++t) {
      SimpleDepth simple(model, texts[t], work);
      std::vector<float> before = simple.pooled(Pooling::kMean, Norm::kNone), now;
      size_t layer = 0;
      for (double c = -1; layer < 5 && !(layer > 0 && layer < 5 && c >= threshold); ++layer) {
        simple.run(layer, Step::kBlock);
        now = simple.pooled(Pooling::kMean, Norm::kNone);
        c = cosine(now, before);
        before = now;
      }
      EXPECT_EQ(e.trace[t].exit_layer, layer) << threshold;
      EXPECT_TRUE(same_bits(e.row(t), now));
      for (size_t l = 0; l < 5; ++l)
        EXPECT_EQ(steps_told(e.row(t), 5)[l], l < layer ? Step::kBlock : Step::kSkip);
    }
  }
}

TEST(EarlyExit, ReturnsMappedVectors) {
  const Model model = open_blinkdl(small(Version::kV6, 4), cpu_backend());
  const Texts texts = some_texts();
  EncodeOptions options = all_layers(4);
  const Encoded all = encode(model, options, texts);
  options.layers.clear();
  RuleMaker make(3);
  ExitRule rule = make.rule(Measure::kSaturation, false, 4, 40, {1, 2, 3});
  make.add_post(rule, 40);
  make.add_maps(rule, 40);
  set_thresholds(rule, 0.3);
  rule.check(4, 40);
  const DepthEncoded e = encode_depth(model, EarlyExit("exit", rule), options, texts);
  std::vector<bool> seen(5, false);
  for (size_t t = 0; t < texts.size(); ++t) {
    const size_t layer = e.trace[t].exit_layer;
    seen[layer] = true;
    const Vector x = literal_post(rule.post[layer], row(all, layer, t, texts.size()));
    Vector want = x;
    if (layer < 4)
      for (size_t j = 0; j < 40; ++j) {
        want[j] = 0;
        for (size_t i = 0; i < 40; ++i) want[j] += x[i] * rule.maps[layer][i * 40 + j];
      }
    EXPECT_LE(relative_error(e.row(t), want), 1e-5) << layer;
  }
  EXPECT_GE(std::ranges::count(seen, true), 2) << "the threshold tests nothing";
}

TEST(EarlyExit, MapsMayChangeTheDimension) {
  const Model model = open_blinkdl(small(Version::kV6, 2), cpu_backend());
  RuleMaker make(3);
  ExitRule rule = make.rule(Measure::kSaturation, false, 2, 40, {1});
  rule.post[2] = {
      .mean = make.numbers(40), .scale = {}, .removed = {}, .matrix = make.numbers(3 * 40)};
  rule.maps[1] = make.numbers(40 * 3);
  set_thresholds(rule, 0);
  rule.check(2, 40);
  const DepthEncoded e = encode_depth(model, EarlyExit("exit", rule), {}, some_texts());
  EXPECT_EQ(e.dim, 3u);
  EXPECT_EQ(e.trace[0].exit_layer, 1u);
  set_thresholds(rule, 2);
  EXPECT_EQ(encode_depth(model, EarlyExit("exit", rule), {}, some_texts()).trace[0].exit_layer, 2u);
}

TEST(EarlyExit, BothSentencesOfAPairStopTogether) {
  const Model model = open_blinkdl(small(Version::kV7, 4), cpu_backend());
  const Texts texts = some_texts();
  RuleMaker make(5);
  ExitRule rule = make.rule(Measure::kSaturation, true, 4, 40, {1, 2, 3});
  bool differs = false;
  for (double threshold : {0.6, 0.7, 0.8, 0.85, 0.9, 0.95}) {
    set_thresholds(rule, threshold);
    rule.pair = true;
    const DepthEncoded pairs = encode_depth(model, EarlyExit("exit", rule), {}, texts);
    rule.pair = false;
    const DepthEncoded single = encode_depth(model, EarlyExit("exit", rule), {}, texts);
    for (size_t t = 0; t < texts.size(); t += 2) {
      const auto [a, b] = std::pair(single.trace[t].exit_layer, single.trace[t + 1].exit_layer);
      EXPECT_EQ(pairs.trace[t].exit_layer, pairs.trace[t + 1].exit_layer);
      EXPECT_GE(pairs.trace[t].exit_layer, std::max(a, b));
      differs |= a != b;
    }
  }
  EXPECT_TRUE(differs) << "the thresholds test nothing";
}

TEST(EarlyExit, NotesTheClassOfTheLastLayerToo) {
  const Model model = open_blinkdl(small(Version::kV6, 4), cpu_backend());
  RuleMaker make(9);
  ExitRule rule = make.rule(Measure::kMaxProbability, false, 4, 40, {2, 4});
  set_thresholds(rule, 2);
  const DepthEncoded e = encode_depth(model, EarlyExit("exit", rule), {}, some_texts());
  for (size_t t = 0; t < e.trace.size(); ++t) {
    const Vector z = literal_logits(rule.exits[1].head, as_double(e.row(t)));
    EXPECT_EQ(e.trace[t].exit_layer, 4u);
    EXPECT_EQ(e.trace[t].predicted_class, std::ranges::max_element(z) - z.begin());
  }
}

// ---- what a rule must be

TEST(EarlyExit, RefusesRulesThatDoNotFit) {
  const auto refused = [](auto&& spoil, Measure measure, bool pair,
                          const std::vector<std::string>& names) {
    RuleMaker make(2);
    ExitRule rule = make.rule(measure, pair, 4, 6, {1, 3});
    ASSERT_NO_THROW(rule.check(4, 6));
    spoil(rule);
    for (const std::string& name : names)
      EXPECT_THAT([&] { rule.check(4, 6); }, ThrowsMessage<Error>(HasSubstr(name)));
  };
  constexpr Measure kSat = Measure::kSaturation, kEnt = Measure::kEntropy;
  refused([](ExitRule& r) { r.exits.clear(); }, kSat, false, {"exits"});
  refused([](ExitRule& r) { std::swap(r.exits[0], r.exits[1]); }, kSat, false, {"rising"});
  refused([](ExitRule& r) { r.exits[1].layer = 5; }, kSat, false, {"layer 5", "0 to 4"});
  refused([](ExitRule& r) { r.exits[0].layer = 0; }, kSat, false, {"layer 0", "layer before"});
  refused([](ExitRule& r) { r.exits[0].threshold = std::nan(""); }, kSat, false, {"threshold"});
  refused([](ExitRule& r) { r.streak = 0; }, kEnt, false, {"streak"});
  refused([](ExitRule& r) { r.alpha = -1; }, kEnt, false, {"alpha"});
  refused([](ExitRule& r) { r.n_class = 1; }, kEnt, false, {"n_class", "at least 2"});
  refused([](ExitRule& r) { r.n_class = 0; }, Measure::kPatience, false, {"patience"});
  refused([](ExitRule& r) { r.pair = false; }, Measure::kScore, true, {"pair"});
  refused([](ExitRule& r) { r.pair = true; }, kEnt, false, {"features"});
  refused([](ExitRule& r) { r.learned.reset(); }, Measure::kLearned, false, {"learned"});
  refused([](ExitRule& r) { r.learned->weight.pop_back(); }, Measure::kLearned, false, {"learned"});
  refused([](ExitRule& r) { r.learned->bias = INFINITY; }, Measure::kLearned, false, {"learned"});
  refused([](ExitRule& r) { r.exits[1].head.weight.pop_back(); }, kEnt, false, {"layer 3", "head"});
  refused([](ExitRule& r) { r.exits[1].head.bias[0] = NAN; }, kEnt, false, {"layer 3", "finite"});
  refused([](ExitRule& r) { r.exits[1].head.n_class = 2; }, kEnt, false, {"layer 3", "classes"});
  refused([](ExitRule& r) { r.exits[0].prototypes.mean.pop_back(); }, Measure::kPrototype, true,
          {"layer 1", "prototypes"});
  refused([](ExitRule& r) { r.post.pop_back(); }, kSat, false, {"one a layer"});
  refused([](ExitRule& r) { r.post[2].mean.resize(5); }, kSat, false, {"post of layer 2"});
  refused([](ExitRule& r) { r.post[2].matrix.resize(12); }, kSat, false, {"post of layer 2"});
  // Vectors of different dimensions in one measure, or returned.
  refused(
      [](ExitRule& r) {
        r.post[3] = {.mean = std::vector<float>(6),
                     .scale = {},
                     .removed = {},
                     .matrix = std::vector<float>(12)};
      },
      kSat, false, {"layer 3", "layer before"});
  refused(
      [](ExitRule& r) {
        r.post[4] = {.mean = std::vector<float>(6),
                     .scale = {},
                     .removed = {},
                     .matrix = std::vector<float>(12)};
      },
      kSat, false, {"last layer", "no map"});
  refused([](ExitRule& r) { r.maps[1].assign(36, 0); }, kSat, false, {"layer 3", "map"});
  refused([](ExitRule& r) { r.maps[1].assign(35, 0), r.maps[3].assign(36, 0); }, kSat, false,
          {"layer 1", "6 x 6", "35"});
}

TEST(EarlyExit, NamesReadBack) {
  for (Measure m : kMeasures) EXPECT_EQ(parse_measure(name_of(m)), m);
  EXPECT_THAT([] { parse_measure("certainty"); },
              ThrowsMessage<Error>(AllOf(HasSubstr("f-pabee"), HasSubstr("certainty"))));
}

}  // namespace
}  // namespace fathom::test::depth_exit_test
