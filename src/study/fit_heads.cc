// SPDX-License-Identifier: Apache-2.0
#include "study/fit_heads.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/error.h"
#include "eval/metrics.h"
#include "probe/folds.h"
#include "study/rows.h"
#include "study/task_features.h"

namespace fathom {
namespace {

constexpr size_t kTenths = 10;

std::vector<uint32_t> labels_of(std::span<const double> gold, std::span<const size_t> rows) {
  std::vector<uint32_t> labels;
  for (size_t row : rows) labels.push_back(static_cast<uint32_t>(gold[row]));
  return labels;
}

// One layer of a cache, seen as examples of a task.
class Layer {
 public:
  Layer(const Task& task, const FeatureCache& cache, size_t i)
      : task_(task), cache_(cache), layer_(i) {}

  const Task& task() const { return task_; }
  size_t dim() const { return cache_.shape().dim; }
  size_t width() const { return task_.is_pair() ? 2 : 1; }
  size_t n_example() const { return cache_.shape().n_text / width(); }

  // The vectors of these examples, (n, dim): both sentences of a pair.
  std::vector<float> vectors(std::span<const size_t> rows) const {
    const size_t n = width() * dim();
    std::vector<float> out(rows.size() * n);
    for (size_t i = 0; i < rows.size(); ++i) read(rows[i], std::span(out).subspan(i * n, n));
    return out;
  }
  void read(size_t row, std::span<float> out) const {
    cache_.read(layer_, row * width(), width(), out);
  }

 private:
  const Task& task_;
  const FeatureCache& cache_;
  size_t layer_;
};

TaskFeatures features_of(const Layer& layer, const Postprocess& post,
                         std::span<const size_t> rows) {
  TaskFeatures f{{}, rows.size()};
  std::vector<float> vectors(layer.width() * layer.dim());
  for (size_t row : rows) {
    layer.read(row, vectors);
    append_features(layer.task(), post, vectors, f.values);
  }
  f.dim = f.n ? f.values.size() / f.n : 0;
  return f;
}

double tuned_temperature(const LinearHead& head, const TaskFeatures& features,
                         std::span<const uint32_t> labels) {
  LinearHead plain = head;
  plain.temperature = 1;
  std::vector<double> logits(features.n * head.n_class);
  for (size_t i = 0; i < features.n; ++i)
    plain.logits(features.view().row(i), std::span(logits).subspan(i * head.n_class, head.n_class));
  return fit_temperature({logits.data(), features.n, head.n_class}, labels);
}

// SentEval's figure for sets without splits: every fold is answered by a head fitted on the others.
// Rows of train and evaluated together make the folds; which rows share one does not depend on how
// they came to be in two splits.
double fold_score(const Task& task, const Layer& train, std::span<const double> train_gold,
                  const Layer& held_out, std::span<const double> held_out_gold,
                  const HeadOptions& options) {
  const size_t n_fold = task.n_fold();
  // A user's task of two folds has one of each.
  const std::vector<uint32_t> strata = task.n_class() > 1
                                           ? labels_of(train_gold, every_row(train_gold.size()))
                                           : std::vector<uint32_t>(train_gold.size());
  const std::vector<uint32_t> fold =
      n_fold > 2 ? assign_folds(strata, n_fold - 1, 1) : std::vector<uint32_t>(strata.size());
  double sum = 0;
  for (size_t f = 0; f < n_fold; ++f) {
    std::vector<size_t> in, out;
    for (size_t i = 0; i < fold.size(); ++i) (fold[i] == f ? out : in).push_back(i);
    const bool last = f == n_fold - 1;  // the fold that is the validation split
    const Postprocess post =
        fit_postprocess(options.post, {train.vectors(in).data(), in.size(), train.dim()});
    TaskFeatures fitted = features_of(train, post, in);
    std::vector<double> gold = pick(train_gold, in);
    const std::vector<size_t> rest = every_row(held_out_gold.size());
    TaskFeatures judged = last ? features_of(held_out, post, rest) : features_of(train, post, out);
    if (!last) {
      const TaskFeatures more = features_of(held_out, post, rest);
      fitted.values.insert(fitted.values.end(), more.values.begin(), more.values.end());
      fitted.n += more.n;
      gold.insert(gold.end(), held_out_gold.begin(), held_out_gold.end());
    }
    const LinearHead head =
        fit_head(task.features, fitted.view(), gold, task.n_class(), options.fit).head;
    sum += score_of(task.metrics.front(), answers_of(head, judged),
                    last ? std::vector<double>(held_out_gold.begin(), held_out_gold.end())
                         : pick(train_gold, out));
  }
  return sum / static_cast<double>(n_fold);
}

LayerFit fit_layer(const Task& task, const FitSplit& train, const FitRows& rows,
                   const FitSplit* evaluated, const HeadOptions& options, size_t i) {
  const Layer layer(task, train.cache, i);
  LayerFit fit;
  const std::vector<float> vectors = layer.vectors(rows.heads);
  fit.post =
      fit_postprocess(options.post, {vectors.data(), vectors.size() / layer.dim(), layer.dim()});
  {
    const TaskFeatures x = features_of(layer, fit.post, rows.heads);
    fit.fitted = fit_head(task.features, x.view(), pick(train.gold, rows.heads), task.n_class(),
                          options.fit);
    if (task.n_class() > 1)
      fit.prototypes = fit_prototypes(x.view(), labels_of(train.gold, rows.heads), task.n_class());
  }
  if (task.n_class() > 1 && !rows.tune.empty())
    fit.fitted.head.temperature = static_cast<float>(
        tuned_temperature(fit.fitted.head, features_of(layer, fit.post, rows.tune),
                          labels_of(train.gold, rows.tune)));
  if (evaluated) fit.answers = predict(task, evaluated->cache, i, fit);
  for (TaskMetric metric : task.metrics)
    fit.scores.push_back(evaluated ? score_of(metric, fit.answers, evaluated->gold) : std::nan(""));
  if (evaluated && task.has_folds())
    fit.fold_score = fold_score(task, layer, train.gold, Layer(task, evaluated->cache, i),
                                evaluated->gold, options);
  return fit;
}

}  // namespace

std::vector<std::string_view> texts_in_order(const Dataset& data) {
  std::vector<std::string_view> texts;
  for (const Pair& pair : data.pairs) {
    texts.push_back(pair.a);
    if (data.task->is_pair()) texts.push_back(pair.b);
  }
  return texts;
}

std::vector<double> golds_of(const Dataset& data) {
  std::vector<double> gold;
  for (const Pair& pair : data.pairs) gold.push_back(pair.gold);
  return gold;
}

FitRows part_rows(std::span<const double> gold, size_t n_class, size_t n_calibration,
                  uint64_t seed) {
  FATHOM_ASSERT(n_calibration + 2 <= kTenths);
  FitRows rows;
  if (n_calibration == 0) {
    rows.heads = every_row(gold.size());
    return rows;
  }
  std::vector<uint32_t> strata;
  for (double g : gold) strata.push_back(n_class == 1 ? 0 : static_cast<uint32_t>(g));
  const std::vector<uint32_t> fold = assign_folds(strata, kTenths, seed);
  for (size_t i = 0; i < fold.size(); ++i)
    (fold[i] == 0               ? rows.tune
     : fold[i] <= n_calibration ? rows.calibration
                                : rows.heads)
        .push_back(i);
  return rows;
}

std::vector<LayerFit> fit_heads(const Task& task, const FitSplit& train, const FitRows& rows,
                                const FitSplit* evaluated, const HeadOptions& options,
                                ThreadPool& pool, const std::function<void(size_t)>& progress) {
  std::vector<LayerFit> fits(train.cache.shape().n_layer);
  std::mutex mutex;
  size_t done = 0;
  pool.run(fits.size(), [&](size_t i) {
    fits[i] = fit_layer(task, train, rows, evaluated, options, i);
    const std::lock_guard lock(mutex);
    if (progress) progress(++done);
  });
  return fits;
}

Postprocess fit_layer_post(const PostprocessOptions& options, const FeatureCache& cache, size_t i,
                           std::span<const size_t> rows) {
  const size_t dim = cache.shape().dim;
  std::vector<float> chosen(rows.size() * dim);
  for (size_t j = 0; j < rows.size(); ++j)
    cache.read(i, rows[j], 1, std::span(chosen).subspan(j * dim, dim));
  return fit_postprocess(options, {chosen.data(), rows.size(), dim});
}

double answer_from(const Task& task, const LayerFit& fit, std::span<const float> vectors) {
  std::vector<float> features;
  append_features(task, fit.post, vectors, features);
  return answer_of(fit.fitted.head, features);
}

std::vector<double> predict(const Task& task, const FeatureCache& cache, size_t i,
                            const LayerFit& fit) {
  const Layer layer(task, cache, i);
  std::vector<double> predicted;
  std::vector<float> vectors(layer.width() * layer.dim());
  for (size_t row = 0; row < layer.n_example(); ++row) {
    layer.read(row, vectors);
    predicted.push_back(answer_from(task, fit, vectors));
  }
  return predicted;
}

double score_of(TaskMetric metric, std::span<const double> predicted,
                std::span<const double> gold) {
  if (metric == TaskMetric::kPearson) return pearson(predicted, gold);
  if (metric == TaskMetric::kSpearman) return spearman(predicted, gold);
  std::vector<int> p, g;
  for (double x : predicted) p.push_back(static_cast<int>(x));
  for (double x : gold) g.push_back(static_cast<int>(x));
  if (metric == TaskMetric::kF1) return f1(count_binary(g, p));
  const MulticlassMetrics m = multiclass_metrics(g, p);
  return metric == TaskMetric::kMatthews ? m.mcc : m.accuracy;
}

}  // namespace fathom
