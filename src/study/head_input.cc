// SPDX-License-Identifier: Apache-2.0
#include "study/head_input.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/list.h"

namespace fathom {
namespace {

// Feature rows of a head, (n, n_feature).
struct FeatureRows {
  std::vector<float> values;
  size_t n;
  Matrix<const float> view() const { return {values.data(), n, values.size() / n}; }
};

size_t texts_of(const Task& task) { return task.is_pair() ? 2 : 1; }

// Appends the features of one example. u_v: (1 or 2, dim) as they were read.
void append(const Task& task, const Postprocess& post, std::span<const float> u_v,
            std::vector<float>& out) {
  const size_t dim = u_v.size() / texts_of(task), after = post.out_dim(dim),
               n = feature_dim(task.features, after);
  std::vector<float> u(after), v(task.is_pair() ? after : 0);
  post.apply(u_v.first(dim), u);
  if (task.is_pair()) post.apply(u_v.last(dim), v);
  out.resize(out.size() + n);
  build_features(task.features, u, v, std::span(out).last(n));
}

// What is read of these examples, (n, texts, dim).
std::vector<float> read_all(const Task& task, const FeatureCache& cache, const HeadReading& reading,
                            std::span<const size_t> rows) {
  const size_t dim = reading.dim(cache.shape().dim), width = texts_of(task);
  std::vector<float> out(rows.size() * width * dim);
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t s = 0; s < width; ++s)
      reading.read(cache, rows[i] * width + s, std::span(out).subspan((i * width + s) * dim, dim));
  return out;
}

FeatureRows features_of(const Task& task, const FeatureCache& cache, const HeadReading& reading,
                        const Postprocess& post, std::span<const size_t> rows) {
  const std::vector<float> vectors = read_all(task, cache, reading, rows);
  FeatureRows out{{}, rows.size()};
  const size_t n = vectors.size() / rows.size();
  for (size_t i = 0; i < rows.size(); ++i)
    append(task, post, std::span(vectors).subspan(i * n, n), out.values);
  return out;
}

std::vector<double> golds(const SweepTask& t, std::span<const size_t> rows) {
  std::vector<double> gold;
  for (size_t row : rows) gold.push_back(t.train.gold[row]);
  return gold;
}

std::vector<uint32_t> labels(const SweepTask& t, std::span<const size_t> rows) {
  std::vector<uint32_t> labels;
  for (size_t row : rows) labels.push_back(static_cast<uint32_t>(t.train.gold[row]));
  return labels;
}

void logits_of(const LinearHead& head, std::span<const float> x, std::span<double> out) {
  if (head.is_regression())
    out[0] = head.value(x);
  else
    head.logits(x, out);
}

InputHead fit_one(const SweepTask& t, HeadReading reading, std::span<const size_t> rows,
                  const PostprocessOptions& post, const FitOptions& fit) {
  InputHead head{.reading = std::move(reading), .post = {}, .fitted = {}};
  const size_t dim = head.reading.dim(t.train.cache.shape().dim);
  const std::vector<float> vectors = read_all(t.task, t.train.cache, head.reading, rows);
  head.post = fit_postprocess(post, {vectors.data(), vectors.size() / dim, dim});
  FeatureRows x{{}, rows.size()};
  const size_t n = dim * texts_of(t.task);
  for (size_t i = 0; i < rows.size(); ++i)
    append(t.task, head.post, std::span(vectors).subspan(i * n, n), x.values);
  head.fitted = fit_head(t.task.features, x.view(), golds(t, rows), t.task.n_class(), fit);
  return head;
}

void tune_temperature(const SweepTask& t, InputHead& head) {
  if (t.task.n_class() == 1) return;
  const FeatureRows x = features_of(t.task, t.train.cache, head.reading, head.post, t.rows.tune);
  head.fitted.head.temperature = 1;
  const size_t k = t.task.n_class();
  std::vector<double> logits(x.n * k);
  for (size_t i = 0; i < x.n; ++i)
    head.fitted.head.logits(x.view().row(i), std::span(logits).subspan(i * k, k));
  head.fitted.head.temperature =
      static_cast<float>(fit_temperature({logits.data(), x.n, k}, labels(t, t.rows.tune)));
}

std::vector<size_t> up_to(size_t layer) {
  std::vector<size_t> layers(layer + 1);
  std::iota(layers.begin(), layers.end(), size_t{0});
  return layers;
}

// Weights of a mean of layers 0 .. l, learned on the tune rows under a head that stays as it is.
class LearnedMean {
 public:
  // scale: (l + 1 or more) what each layer is multiplied with first.
  LearnedMean(const SweepTask& t, size_t layer, std::span<const float> scale)
      : t_(t), scale_(scale.first(layer + 1)), gold_(golds(t, t.rows.tune)) {
    for (size_t l = 0; l <= layer; ++l)
      vectors_.push_back(read_all(t.task, t.train.cache, {.layers = {l}}, t.rows.tune));
  }

  HeadReading reading(std::span<const double> theta) const {
    std::vector<double> share(theta.size());
    softmax(theta, share);
    HeadReading r{.layers = up_to(scale_.size() - 1)};
    for (size_t l = 0; l < share.size(); ++l)
      r.weights.push_back(static_cast<float>(share[l]) * scale_[l]);
    return r;
  }

  // From even weights on, each step along the slope, half as long where it would not go down.
  std::vector<double> learn(const InputHead& head) const {
    constexpr size_t kSteps = 12;
    constexpr double kNudge = 0.05, kFirst = 8, kShortest = 1e-2;
    std::vector<double> theta(scale_.size(), 0);
    double now = loss(head, theta), length = kFirst;
    for (size_t step = 0; step < kSteps && length > kShortest; ++step) {
      std::vector<double> slope;
      for (size_t l = 0; l < theta.size(); ++l) {
        std::vector<double> up = theta, down = theta;
        up[l] += kNudge;
        down[l] -= kNudge;
        slope.push_back((loss(head, up) - loss(head, down)) / (2 * kNudge));
      }
      for (; length > kShortest; length /= 2) {
        std::vector<double> next = theta;
        for (size_t l = 0; l < theta.size(); ++l) next[l] -= length * slope[l];
        const double lower = loss(head, next);
        if (lower >= now) continue;
        theta = std::move(next);
        now = lower;
        length *= 2;
        break;
      }
    }
    return theta;
  }

 private:
  // Mean over the tune rows: -log of the class's probability, or half the squared error.
  double loss(const InputHead& head, std::span<const double> theta) const {
    const std::vector<float> weight = reading(theta).weights;
    const size_t n = vectors_.front().size() / gold_.size(), k = head.fitted.head.n_class;
    std::vector<float> mixed(n), x;
    std::vector<double> z(k), p(k);
    double sum = 0;
    for (size_t i = 0; i < gold_.size(); ++i) {
      std::ranges::fill(mixed, 0.0f);
      for (size_t l = 0; l < weight.size(); ++l)
        for (size_t j = 0; j < n; ++j) mixed[j] += weight[l] * vectors_[l][i * n + j];
      x.clear();
      append(t_.task, head.post, mixed, x);
      logits_of(head.fitted.head, x, z);
      if (k == 1) {
        sum += 0.5 * (z[0] - gold_[i]) * (z[0] - gold_[i]);
        continue;
      }
      softmax(z, p);
      sum -= std::log(std::max(p[static_cast<size_t>(gold_[i])], 1e-300));
    }
    return sum / static_cast<double>(gold_.size());
  }

  const SweepTask& t_;
  std::span<const float> scale_;
  std::vector<double> gold_;
  std::vector<std::vector<float>> vectors_;  // (l + 1) of (n_tune, texts, d_model)
};

// 1 / root mean square of the vectors of the rows for heads, (n_layer + 1).
std::vector<float> scales_of(const SweepTask& t) {
  std::vector<float> scale(t.n_layer() + 1);
  t.pool.run(scale.size(), [&](size_t l) {
    const std::vector<float> x = read_all(t.task, t.train.cache, {.layers = {l}}, t.rows.heads);
    double sum = 0;
    for (float v : x) sum += double{v} * v;
    scale[l] = sum > 0 ? static_cast<float>(std::sqrt(static_cast<double>(x.size()) / sum)) : 1;
  });
  return scale;
}

InputHead fit_mean(const SweepTask& t, size_t layer, std::span<const float> scale,
                   const HeadFitting& options) {
  const LearnedMean mean(t, layer, scale);
  const InputHead even = fit_one(t, mean.reading(std::vector<double>(layer + 1, 0)), t.rows.heads,
                                 options.post, options.fit);
  FitOptions again = options.fit;
  again.c = {even.fitted.c};
  return fit_one(t, mean.reading(mean.learn(even)), t.rows.heads, options.post, again);
}

HeadReading reading_of(HeadInput input, size_t layer) {
  switch (input) {
    case HeadInput::kFirstAndLayer:
      return {.layers = {0, layer}};
    case HeadInput::kConcat:
      return {.layers = up_to(layer)};
    case HeadInput::kLayer:
    case HeadInput::kMean:
      break;
  }
  return {.layers = {layer}};
}

}  // namespace

std::string_view name_of(HeadInput input) {
  switch (input) {
    case HeadInput::kLayer:
      return "layer";
    case HeadInput::kFirstAndLayer:
      return "first+layer";
    case HeadInput::kConcat:
      return "concat";
    case HeadInput::kMean:
      break;
  }
  return "mean";
}

std::vector<HeadInput> parse_head_inputs(std::string_view text) {
  std::vector<std::string_view> names;
  for (HeadInput input : kHeadInputs) names.push_back(name_of(input));
  std::vector<HeadInput> inputs = {HeadInput::kLayer};
  for (std::string_view name : split_list(text)) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end())
      throw InvalidOption("head_input", concat("some of ", join(names), " with commas between"),
                          concat("'", name, "'"));
    const HeadInput input = kHeadInputs[found - names.begin()];
    if (std::ranges::find(inputs, input) == inputs.end()) inputs.push_back(input);
  }
  return inputs;
}

void HeadReading::read(const FeatureCache& cache, size_t text, std::span<float> out) const {
  const size_t d = cache.shape().dim;
  if (weights.empty()) {
    for (size_t i = 0; i < layers.size(); ++i)
      cache.read(layers[i], text, 1, out.subspan(i * d, d));
    return;
  }
  std::ranges::fill(out, 0.0f);
  std::vector<float> one(d);
  for (size_t i = 0; i < layers.size(); ++i) {
    cache.read(layers[i], text, 1, one);
    for (size_t j = 0; j < d; ++j) out[j] += weights[i] * one[j];
  }
}

std::vector<InputHead> fit_input_heads(const SweepTask& t, HeadInput input,
                                       const HeadFitting& options) {
  std::vector<InputHead> heads(t.n_layer());
  if (input == HeadInput::kLayer) {
    for (size_t l = 1; l <= t.n_layer(); ++l)
      heads[l - 1] = {{.layers = {l}}, t.fits[l].post, t.fits[l].fitted};
    return heads;
  }
  const std::vector<float> scale = input == HeadInput::kMean ? scales_of(t) : std::vector<float>();
  t.pool.run(t.n_layer(), [&](size_t i) {
    const size_t layer = i + 1;
    heads[i] = input == HeadInput::kMean
                   ? fit_mean(t, layer, scale, options)
                   : fit_one(t, reading_of(input, layer), t.rows.heads, options.post, options.fit);
    tune_temperature(t, heads[i]);
  });
  return heads;
}

std::vector<InputHead> refit_on_all(const SweepTask& t, std::span<const InputHead> heads,
                                    const HeadFitting& options) {
  std::vector<size_t> rows = t.rows.heads;
  for (const std::vector<size_t>* more : {&t.rows.tune, &t.rows.calibration})
    rows.insert(rows.end(), more->begin(), more->end());
  std::ranges::sort(rows);
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  std::vector<InputHead> all(heads.size());
  t.pool.run(heads.size(), [&](size_t i) {
    FitOptions fit = options.fit;
    fit.c = {heads[i].fitted.c};
    all[i] = fit_one(t, heads[i].reading, rows, options.post, fit);
  });
  return all;
}

double HeadAnswers::answer(size_t layer, size_t example) const {
  const std::span<const double> z = at(layer, example);
  return n_class == 1 ? z[0] : static_cast<double>(argmax(z));
}

HeadAnswers answers_of(const SweepTask& t, std::span<const InputHead> heads,
                       const SweepSplit& split, std::span<const size_t> rows) {
  const size_t k = t.task.n_class();
  HeadAnswers out{k, rows.size(), std::vector<std::vector<double>>(heads.size())};
  t.pool.run(heads.size(), [&](size_t l) {
    const InputHead& head = heads[l];
    out.logits[l].resize(rows.size() * k);
    const FeatureRows x = features_of(t.task, split.cache, head.reading, head.post, rows);
    for (size_t i = 0; i < rows.size(); ++i)
      logits_of(head.fitted.head, x.view().row(i), std::span(out.logits[l]).subspan(i * k, k));
  });
  return out;
}

HeadAnswers ensemble_of(const HeadAnswers& answers) {
  HeadAnswers out{answers.n_class, answers.n_example, {}};
  const size_t k = answers.n_class;
  std::vector<double> sum(answers.n_example * k, 0), p(k);
  for (size_t l = 1; l <= answers.logits.size(); ++l) {
    std::vector<double>& now = out.logits.emplace_back(sum.size());
    for (size_t i = 0; i < answers.n_example; ++i) {
      const std::span<const double> z = answers.at(l, i);
      if (k == 1)
        p[0] = z[0];
      else
        softmax(z, p);
      for (size_t c = 0; c < k; ++c) {
        sum[i * k + c] += p[c];
        const double mean = sum[i * k + c] / static_cast<double>(l);
        now[i * k + c] = k == 1 ? mean : std::log(std::max(mean, 1e-300));
      }
    }
  }
  return out;
}

}  // namespace fathom
