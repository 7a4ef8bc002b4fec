// SPDX-License-Identifier: Apache-2.0
#include "study/fit_route.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "eval/cost.h"
#include "probe/folds.h"
#include "probe/kmeans.h"
#include "probe/ridge.h"
#include "study/rows.h"

namespace fathom {
namespace {

// As RouteRule::choose() reads a vector.
std::vector<float> router_features(const RouteRule& rule, Matrix<const float> pooled) {
  const size_t dim = rule.post.out_dim(pooled.cols());
  std::vector<float> out(pooled.rows() * dim);
  for (size_t t = 0; t < pooled.rows(); ++t) {
    const auto to = std::span(out).subspan(t * dim, dim);
    rule.post.apply(pooled.row(t), to);
    double sum = 0;
    for (float v : to) sum += double{v} * v;
    if (sum > 0)
      for (float& v : to) v = static_cast<float>(v / std::sqrt(sum));
  }
  return out;
}

// The mask of one cluster: the global one, changed by swaps that its texts gain from.
BlockMask mask_of_cluster(const MaskTexts& texts, std::span<const uint32_t> cluster, uint32_t c,
                          size_t reference, const PruneProblem& problem, RouteFit& fit,
                          Workspace& work) {
  std::vector<std::vector<Token>> ids;
  for (size_t t = 0; t < texts.ids.size(); ++t)
    if (cluster[t] == c) ids.push_back(texts.ids[t]);
  const MaskObjective objective({texts.model, texts.options, ids}, ObjectiveKind::kCosine,
                                reference, {}, work);
  const MaskSearch found = refine_by_swaps(problem, fit.global.removed, std::cref(objective));
  fit.clusters.push_back({ids.size(), objective(fit.global.mask), found.loss});
  return found.mask;
}

// Clusters that found the same mask become one, whose centroid is the mean of their texts: a router
// has nothing to choose between them. centroids: (n_mask, dim), in and out.
void merge_alike(RouteFit& fit, std::vector<float>& centroids) {
  std::vector<BlockMask>& masks = fit.rule.masks;
  const size_t dim = centroids.size() / masks.size();
  for (size_t m = 1; m < masks.size();) {
    const auto same =
        std::find(masks.begin(), masks.begin() + static_cast<std::ptrdiff_t>(m), masks[m]);
    const auto at = static_cast<size_t>(same - masks.begin());
    if (at == m) {
      ++m;
      continue;
    }
    RouteCluster &into = fit.clusters[at], &from = fit.clusters[m];
    const double n = static_cast<double>(into.n_text + from.n_text),
                 share = n > 0 ? static_cast<double>(from.n_text) / n : 0.5;
    into.loss += share * (from.loss - into.loss);
    into.loss_global += share * (from.loss_global - into.loss_global);
    into.n_text += from.n_text;
    for (size_t i = 0; i < dim; ++i) {
      float& to = centroids[at * dim + i];
      to += static_cast<float>(share) * (centroids[m * dim + i] - to);
    }
    const auto behind = [&](auto& list, size_t width) {
      const auto begin = list.begin() + static_cast<std::ptrdiff_t>(m * width);
      list.erase(begin, begin + static_cast<std::ptrdiff_t>(width));
    };
    behind(masks, 1);
    behind(fit.clusters, 1);
    behind(centroids, dim);
  }
}

void fit_router(const MaskTexts& texts, const MaskObjective& objective,
                Matrix<const float> features, uint64_t seed, RouteFit& fit) {
  RouteRule& rule = fit.rule;
  const size_t n = texts.ids.size(), n_mask = rule.n_mask();
  std::vector<double> losses(n * n_mask);
  for (size_t m = 0; m < n_mask; ++m) {
    const std::vector<double> of_mask = objective.text_losses(rule.masks[m]);
    for (size_t t = 0; t < n; ++t) losses[t * n_mask + m] = of_mask[t];
  }
  RidgeRouter router = fit_ridge_router(features, {losses.data(), n, n_mask}, seed);
  rule.weight = std::move(router.weight);
  rule.bias = std::move(router.bias);
  fit.kappa = router.kappa;
}

}  // namespace

RouteFit fit_route(const MaskTexts& texts, size_t reference, const PruneProblem& problem,
                   const RouteOptions& options, Workspace& work,
                   const std::function<void(size_t)>& progress) {
  for (const PruneUnit& unit : problem.units) FATHOM_ASSERT(unit.layer >= options.layer);
  const auto tell = [&](size_t done) {
    if (progress) progress(done);
  };
  const size_t n = texts.ids.size(), d_model = texts.model.config().d_model;
  RouteFit fit;
  RouteRule& rule = fit.rule;
  rule.layer = options.layer;
  rule.router = options.router;
  rule.normalize = true;
  const std::vector<float> pooled = vectors_at(texts, options.layer, work);
  rule.post = fit_postprocess(options.post, {pooled.data(), n, d_model});
  const std::vector<float> read = router_features(rule, {pooled.data(), n, d_model});
  const Matrix<const float> features(read.data(), n, read.size() / n);
  KMeans clusters = fit_kmeans(features, {.n_cluster = options.n_cluster, .seed = options.seed});

  const MaskObjective objective(texts, ObjectiveKind::kCosine, reference, {}, work);
  const MaskSearch greedy = greedy_search(problem, std::cref(objective));
  fit.global = refine_by_swaps(problem, greedy.removed, std::cref(objective));
  tell(1);
  for (uint32_t c = 0; c < options.n_cluster; ++c) {
    rule.masks.push_back(
        mask_of_cluster(texts, clusters.cluster, c, reference, problem, fit, work));
    tell(c + 2);
  }
  merge_alike(fit, clusters.centroids);
  if (options.router == Router::kCentroid)
    rule.weight = std::move(clusters.centroids);
  else
    fit_router(texts, objective, features, options.seed, fit);
  rule.check(texts.model.config().n_layer, d_model);
  return fit;
}

namespace {

// Rows of both sides about the means of the rows that are fitted on; then a plain ridge regression.
class CentredRidge {
 public:
  CentredRidge(Matrix<const float> x, Matrix<const double> y, std::span<const size_t> rows)
      : x_mean_(x.cols()), y_mean_(y.cols()), system_(x.cols(), y.cols()) {
    const double share = 1 / static_cast<double>(rows.size());
    for (size_t r : rows) {
      for (size_t i = 0; i < x.cols(); ++i) x_mean_[i] += share * x.row(r)[i];
      for (size_t m = 0; m < y.cols(); ++m) y_mean_[m] += share * y.row(r)[m];
    }
    std::vector<double> one_x(x.cols()), one_y(y.cols());
    for (size_t r : rows) {
      for (size_t i = 0; i < x.cols(); ++i) {
        one_x[i] = x.row(r)[i] - x_mean_[i];
        spread_ += one_x[i] * one_x[i] / static_cast<double>(x.cols());
      }
      for (size_t m = 0; m < y.cols(); ++m) one_y[m] = y.row(r)[m] - y_mean_[m];
      system_.add({one_x.data(), 1, x.cols()}, {one_y.data(), 1, y.cols()});
    }
  }

  // kappa is in units of the mean of the diagonal of X^T X.
  RidgeRouter solve(double kappa) const {
    const size_t dim = x_mean_.size(), n_mask = y_mean_.size();
    const std::vector<double> w = system_.solve(kappa * std::max(spread_, 1e-12));
    RidgeRouter router{std::vector<float>(n_mask * dim), {}, kappa};
    for (size_t m = 0; m < n_mask; ++m) {
      double bias = y_mean_[m];
      for (size_t i = 0; i < dim; ++i) {
        router.weight[m * dim + i] = static_cast<float>(w[i * n_mask + m]);
        bias -= w[i * n_mask + m] * x_mean_[i];
      }
      router.bias.push_back(static_cast<float>(bias));
    }
    return router;
  }

 private:
  std::vector<double> x_mean_, y_mean_;
  RidgeSystem system_;
  double spread_ = 0;
};

double squared_error(const RidgeRouter& router, std::span<const float> x,
                     std::span<const double> y) {
  double sum = 0;
  for (size_t m = 0; m < y.size(); ++m) {
    double value = router.bias[m] - y[m];
    for (size_t i = 0; i < x.size(); ++i) value += double{router.weight[m * x.size() + i]} * x[i];
    sum += value * value;
  }
  return sum;
}

}  // namespace

RidgeRouter fit_ridge_router(Matrix<const float> features, Matrix<const double> losses,
                             uint64_t seed) {
  constexpr double kKappas[] = {0.01, 0.1, 1, 10, 100};
  const size_t n = features.rows(), n_mask = losses.cols();
  FATHOM_ASSERT(losses.rows() == n);
  FATHOM_REQUIRE(n >= 2, "ridge router: expected at least 2 texts, got ", n);
  std::vector<double> values(losses.data(), losses.data() + n * n_mask);
  for (size_t t = 0; t < n; ++t) {
    const auto row = std::span(values).subspan(t * n_mask, n_mask);
    const double mean = mean_of(row);
    for (double& v : row) v -= mean;
  }
  const Matrix<const double> y(values.data(), n, n_mask);
  const size_t n_fold = std::min<size_t>(5, n);
  const std::vector<uint32_t> fold = assign_folds(std::vector<uint32_t>(n, 0), n_fold, seed);
  std::vector<double> error(std::size(kKappas));
  const std::vector<size_t> all = every_row(n);
  std::vector<size_t> rows;
  for (uint32_t f = 0; f < n_fold; ++f) {
    rows.clear();
    std::ranges::copy_if(all, std::back_inserter(rows), [&](size_t t) { return fold[t] != f; });
    const CentredRidge ridge(features, y, rows);
    for (size_t k = 0; k < error.size(); ++k) {
      const RidgeRouter router = ridge.solve(kKappas[k]);
      for (size_t t = 0; t < n; ++t)
        if (fold[t] == f) error[k] += squared_error(router, features.row(t), y.row(t));
    }
  }
  const auto best = std::ranges::min_element(error) - error.begin();
  return CentredRidge(features, y, all).solve(kKappas[best]);
}

namespace {

// The route run on all texts: what it loses, what it costs, which masks it takes.
RouteLosses::Choice run_route(const RouteRule& rule, const MaskTexts& texts,
                              const MaskObjective& objective, std::vector<size_t>& n_routed,
                              Workspace& work) {
  const RoutedDepth policy("route", rule);
  EncodeOptions options = texts.options;
  options.layers.clear();
  const Encoder encoder(texts.model, options, &policy);
  std::vector<float> vectors(texts.ids.size() * encoder.dim());
  std::vector<DepthTrace> trace(texts.ids.size());
  encoder.encode(texts.ids, vectors, work, {}, trace);
  const CostModel cost = cost_model(texts.model.config());
  const FixedDepth whole(cost.n_layer);
  DepthTrace full;
  full.exit_layer = full.n_time_mix = full.n_channel_mix = static_cast<uint32_t>(cost.n_layer);
  double flops = 0, all = 0;
  for (size_t t = 0; t < trace.size(); ++t) {
    const size_t n_token = scanned_tokens(texts.ids[t].size(), options);
    flops += depth_flops(cost, policy, trace[t], n_token);
    all += depth_flops(cost, whole, full, n_token);
    ++n_routed[static_cast<size_t>(trace[t].route)];
  }
  return {objective.text_losses(vectors), flops / all};
}

// Mean over masks, each with its weight; weights add up to 1.
RouteLosses::Choice mixture(std::span<const RouteLosses::Choice> masks,
                            std::span<const double> weight) {
  RouteLosses::Choice out{std::vector<double>(masks[0].loss.size()), 0};
  for (size_t m = 0; m < masks.size(); ++m) {
    for (size_t t = 0; t < out.loss.size(); ++t) out.loss[t] += weight[m] * masks[m].loss[t];
    out.flops_share += weight[m] * masks[m].flops_share;
  }
  return out;
}

// The router and all that it costs come free.
RouteLosses::Choice best_of(std::span<const RouteLosses::Choice> masks) {
  const size_t n = masks[0].loss.size();
  RouteLosses::Choice out{std::vector<double>(n), 0};
  for (size_t t = 0; t < n; ++t) {
    const auto& best = *std::ranges::min_element(
        masks, {}, [&](const RouteLosses::Choice& mask) { return mask.loss[t]; });
    out.loss[t] = best.loss[t];
    out.flops_share += best.flops_share / static_cast<double>(n);
  }
  return out;
}

}  // namespace

RouteLosses judge_route(const RouteFit& fit, const MaskTexts& texts, size_t reference,
                        const PruneProblem& problem, size_t n_random, uint64_t seed,
                        Workspace& work) {
  FATHOM_ASSERT(n_random >= 1);
  const MaskObjective objective(texts, ObjectiveKind::kCosine, reference, {}, work);
  const CostModel cost = cost_model(texts.model.config());
  const auto judge = [&](const BlockMask& mask) {
    return RouteLosses::Choice{objective.text_losses(mask), flops_share(cost, mask)};
  };
  RouteLosses out;
  out.n_routed.resize(fit.rule.n_mask());
  out.routed = run_route(fit.rule, texts, objective, out.n_routed, work);
  out.global = judge(fit.global.mask);
  out.truncated = judge(problem.without(last_removed(problem)));
  std::vector<RouteLosses::Choice> drawn, masks;
  for (size_t i = 0; i < n_random; ++i) {
    Random random(seed + i);
    drawn.push_back(judge(problem.without(random_like(problem, fit.global.removed, random))));
  }
  out.random = mixture(drawn, std::vector<double>(n_random, 1 / static_cast<double>(n_random)));
  std::vector<double> used;
  for (size_t m = 0; m < fit.rule.n_mask(); ++m) {
    masks.push_back(judge(fit.rule.masks[m]));
    used.push_back(static_cast<double>(out.n_routed[m]) / static_cast<double>(texts.ids.size()));
  }
  out.shuffled = mixture(masks, used);
  out.oracle = best_of(masks);
  return out;
}

RouteGain gain_over(const RouteLosses::Choice& baseline, const RouteLosses& losses,
                    const BootstrapOptions& options, ThreadPool& pool) {
  const size_t n = losses.routed.loss.size();
  FATHOM_ASSERT(baseline.loss.size() == n);
  std::vector<double> gain(n);
  for (size_t t = 0; t < n; ++t) gain[t] = baseline.loss[t] - losses.routed.loss[t];
  const Statistic mean = [&](Multiplicities times) {
    double sum = 0;
    for (size_t t = 0; t < n; ++t) sum += times[t] * gain[t];
    return sum / static_cast<double>(n);
  };
  return {mean_of(gain),
          percentile_interval(Bootstrap(n, options).run(std::span(&mean, 1), pool)[0])};
}

}  // namespace fathom
