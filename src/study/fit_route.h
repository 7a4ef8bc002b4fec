// SPDX-License-Identifier: Apache-2.0
// Input-dependent block masks without gradients (docs/methods.md, "Pruning and routing"). Texts are
// clustered by their pooled vector at one layer, every cluster gets a mask, and a router learns
// which mask a text takes (after IG-Pruning, arXiv 2511.02213, and PuDDing, arXiv 2502.04348).
//
// The loss of a text is 1 - cos between its vector under a mask and its vector of the whole model,
// at a reference layer. One caller at a time.
#pragma once

#include <functional>
#include <vector>

#include "depth/route.h"
#include "eval/bootstrap.h"
#include "study/mask_objective.h"
#include "study/search.h"

namespace fathom {

struct RouteOptions {
  size_t n_cluster = 8;
  size_t layer = 1;  // where the router reads; blocks in front of it are no units of the problem
  Router router = Router::kCentroid;
  PostprocessOptions post = {PostprocessKind::kScale};  // of what it reads; then length 1
  uint64_t seed = 1;
};

struct RouteCluster {
  size_t n_text = 0;
  // Mean loss of its texts under the global mask, under its own as searched.
  double loss_global = 0, loss = 0;
};

struct RouteFit {
  RouteRule rule;     // mask i is that of cluster i; clusters with the same mask are one
  MaskSearch global;  // one mask for all texts: greedy, then swaps, as the clusters' masks
  std::vector<RouteCluster> clusters;
  double kappa = 0;  // of the ridge router; 0 without one
};

// progress: called with the number of masks found, 1 + n_cluster in all. Throws Error as
// fit_kmeans, fit_postprocess and the searches.
RouteFit fit_route(const MaskTexts& texts, size_t reference, const PruneProblem& problem,
                   const RouteOptions& options, Workspace& work,
                   const std::function<void(size_t)>& progress = {});

// The ridge router: features (n, dim) -> losses of the masks (n, n_mask), from which every row's
// mean is taken away first, as only differences choose a mask.
struct RidgeRouter {
  std::vector<float> weight;  // (n_mask, dim)
  std::vector<float> bias;    // (n_mask)
  double kappa = 0;           // in units of the mean of the diagonal of X^T X
};
// The kappa of five that predicts left-out folds best. Throws Error: fewer than 2 rows.
RidgeRouter fit_ridge_router(Matrix<const float> features, Matrix<const double> losses,
                             uint64_t seed);

// What texts lose that nothing was fitted on, (n_text) each, and the FLOPs as a share of the whole
// model's: with the route really run, and what it is compared with.
struct RouteLosses {
  struct Choice {
    std::vector<double> loss;
    double flops_share = 1;
  };
  Choice routed;  // router and pooling included in its FLOPs
  Choice global;
  Choice random;     // mean of masks drawn at random (random_like the global one)
  Choice shuffled;   // the route's masks as often as it uses them, dealt to texts at random
  Choice oracle;     // for every text the best of the route's masks
  Choice truncated;  // the last units removed
  std::vector<size_t> n_routed;  // (n_mask) texts that take each mask
};
RouteLosses judge_route(const RouteFit& fit, const MaskTexts& texts, size_t reference,
                        const PruneProblem& problem, size_t n_random, uint64_t seed,
                        Workspace& work);

// Mean of baseline - routed over texts, with its bootstrap interval.
struct RouteGain {
  double gain = 0;
  Interval interval = {};
};
RouteGain gain_over(const RouteLosses::Choice& baseline, const RouteLosses& losses,
                    const BootstrapOptions& options, ThreadPool& pool);

}  // namespace fathom
