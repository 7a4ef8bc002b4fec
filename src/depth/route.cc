// SPDX-License-Identifier: Apache-2.0
#include "depth/route.h"

#include <cmath>

#include "base/error.h"
#include "depth/work.h"

namespace fathom {
namespace {

void check_finite(std::span<const float> values, const char* name) {
  for (float v : values)
    FATHOM_REQUIRE(std::isfinite(v), "route.", name, ": a number is not finite");
}

}  // namespace

std::string_view name_of(Router router) {
  return router == Router::kCentroid ? "centroid" : "ridge";
}

size_t RouteRule::choose(std::span<const float> pooled) const {
  const size_t dim = weight.size() / n_mask();
  std::vector<float> e(dim);
  post.apply(pooled, e);
  double scale = 1;
  if (normalize) {
    double sum = 0;
    for (float v : e) sum += double{v} * v;
    if (sum > 0) scale = 1 / std::sqrt(sum);
  }
  size_t best = 0;
  double best_cost = 0;
  for (size_t m = 0; m < n_mask(); ++m) {
    const float* w = weight.data() + m * dim;
    double cost = router == Router::kRidge ? bias[m] : 0;
    for (size_t i = 0; i < dim; ++i) {
      const double x = e[i] * scale;
      cost += router == Router::kRidge ? w[i] * x : (x - w[i]) * (x - w[i]);
    }
    if (m == 0 || cost < best_cost) {
      best = m;
      best_cost = cost;
    }
  }
  return best;
}

void RouteRule::check(size_t n_layer, size_t d_model) const {
  FATHOM_REQUIRE(layer < n_layer, "route.layer: expected a layer below ", n_layer, ", got ", layer);
  FATHOM_REQUIRE(n_mask() >= 1, "route.masks: expected at least one");
  const size_t dim = post.out_dim(d_model);
  FATHOM_REQUIRE(weight.size() == n_mask() * dim, "route.weight: expected ", n_mask(), " x ", dim,
                 " numbers, got ", weight.size());
  const size_t n_bias = router == Router::kRidge ? n_mask() : 0;
  FATHOM_REQUIRE(bias.size() == n_bias, "route.bias: expected ", n_bias, " numbers, got ",
                 bias.size());
  check_finite(weight, "weight");
  check_finite(bias, "bias");
  for (const BlockMask& mask : masks)
    FATHOM_REQUIRE(mask.time_mix.size() == n_layer && mask.channel_mix.size() == n_layer,
                   "route.masks: expected ", n_layer, " blocks, got ", mask.time_mix.size(),
                   " and ", mask.channel_mix.size());
  for (size_t m = 1; m < n_mask(); ++m)
    for (size_t l = 0; l < layer; ++l)
      FATHOM_REQUIRE(masks[m].step(l) == masks[0].step(l), "route.masks: masks 1 and ", m + 1,
                     " differ in block ", l + 1, ", which runs before the router reads layer ",
                     layer);
}

void RoutedDepth::decide(const Boundary& at, std::span<Step> steps) const {
  if (at.layer == rule_.layer)
    for_each_task(at.threads, steps.size(), [&](size_t s) {
      at.trace[s].route = static_cast<int32_t>(rule_.choose(at.pooled.row(s)));
    });
  for (size_t s = 0; s < steps.size(); ++s) {
    const size_t route = at.layer < rule_.layer ? 0 : static_cast<size_t>(at.trace[s].route);
    const BlockMask& mask = rule_.masks[route];
    // Up to the router all go on: masks of different depth may lie behind it.
    const bool goes_on = at.layer < std::max(mask.depth(), rule_.layer);
    steps[s] = goes_on ? mask.step(at.layer) : Step::kStop;
  }
}

Step RoutedDepth::taken(const DepthTrace& trace, size_t layer) const {
  if (layer >= trace.exit_layer) return Step::kStop;
  return rule_.masks[layer < rule_.layer ? 0 : static_cast<size_t>(trace.route)].step(layer);
}

double RoutedDepth::decision_flops(size_t layer, size_t d_model) const {
  if (layer != rule_.layer) return 0;
  return postprocess_flops(rule_.post, d_model) + 2 * static_cast<double>(rule_.weight.size());
}

}  // namespace fathom
