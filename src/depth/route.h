// SPDX-License-Identifier: Apache-2.0
// Input-dependent block masks (docs/methods.md, "Pruning and routing"; after IG-Pruning, arXiv
// 2511.02213, and PuDDing, arXiv 2502.04348). A router reads the pooled vector of a sequence at one
// layer and chooses one of a few masks for the whole sequence.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "depth/mask.h"
#include "probe/postprocess.h"

namespace fathom {

enum class Router : uint8_t {
  kCentroid,  // the nearest centroid, Euclidean; mask i belongs to cluster i
  kRidge,     // the smallest predicted loss: W e + b, one row a mask
};
std::string_view name_of(Router router);  // "centroid", "ridge"

struct RouteRule {
  size_t layer = 0;  // that the router reads; below it all masks are equal
  Router router = Router::kCentroid;
  bool normalize = false;        // the input is scaled to length 1 first, after `post`
  Postprocess post;              // of the pooled vector
  std::vector<float> weight;     // (n_mask, dim) centroids or W; dim behind `post`
  std::vector<float> bias;       // (n_mask) b; empty for centroids
  std::vector<BlockMask> masks;  // (n_mask), each of n_layer blocks

  size_t n_mask() const { return masks.size(); }
  // The mask for a pooled vector, (d_model). The first of equally good ones.
  size_t choose(std::span<const float> pooled) const;
  // Throws Error that names the field: sizes that disagree, masks that differ before `layer`,
  // numbers that are not finite.
  void check(size_t n_layer, size_t d_model) const;
};

class RoutedDepth final : public DepthPolicy {
 public:
  // The rule must have been checked.
  RoutedDepth(std::string name, RouteRule rule) : name_(std::move(name)), rule_(std::move(rule)) {}

  std::string name() const override { return name_; }
  bool reads_pooled(size_t layer) const override { return layer == rule_.layer; }
  void decide(const Boundary& at, std::span<Step> steps) const override;
  Step taken(const DepthTrace& trace, size_t layer) const override;
  double decision_flops(size_t layer, size_t d_model) const override;

 private:
  std::string name_;
  RouteRule rule_;
};

}  // namespace fathom
