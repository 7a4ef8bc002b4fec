// SPDX-License-Identifier: Apache-2.0
// Depth policies that do not depend on the input: the first L blocks, and masks of pruned
// sublayers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "depth/policy.h"

namespace fathom {

// Which sublayers of every block run.
struct BlockMask {
  std::vector<bool> time_mix, channel_mix;  // (n_layer)

  static BlockMask all(size_t n_layer) {
    return {std::vector<bool>(n_layer, true), std::vector<bool>(n_layer, true)};
  }
  bool operator==(const BlockMask&) const = default;
  size_t n_layer() const { return time_mix.size(); }
  Step step(size_t layer) const {
    return static_cast<Step>((time_mix[layer] ? 1 : 0) | (channel_mix[layer] ? 2 : 0));
  }
  // After the last block that runs: from there on the residual stream does not change.
  size_t depth() const {
    size_t depth = n_layer();
    while (depth > 0 && step(depth - 1) == Step::kSkip) --depth;
    return depth;
  }
  size_t n_kept() const {  // sublayers
    return static_cast<size_t>(std::count(time_mix.begin(), time_mix.end(), true) +
                               std::count(channel_mix.begin(), channel_mix.end(), true));
  }
};

// One character a sublayer: T and C where time mix and channel mix run, "." where one is skipped:
// "TC .C".
inline std::string pattern_of(const BlockMask& mask) {
  std::string text;
  for (size_t l = 0; l < mask.n_layer(); ++l) {
    if (l > 0) text += ' ';
    text += mask.time_mix[l] ? 'T' : '.';
    text += mask.channel_mix[l] ? 'C' : '.';
  }
  return text;
}

// The first `depth` blocks, the same for every input.
class FixedDepth final : public DepthPolicy {
 public:
  explicit FixedDepth(size_t depth) : depth_(depth) {}
  std::string name() const override { return "fixed:" + std::to_string(depth_); }
  std::optional<size_t> depth() const override { return depth_; }
  void decide(const Boundary& at, std::span<Step> steps) const override {
    for (Step& s : steps) s = at.layer < depth_ ? Step::kBlock : Step::kStop;
  }

 private:
  size_t depth_;
};

// The sublayers that a mask keeps, the same for every input
// (docs/methods.md, "Pruning and routing").
class MaskedDepth final : public DepthPolicy {
 public:
  MaskedDepth(std::string name, BlockMask mask)
      : name_(std::move(name)), mask_(std::move(mask)), depth_(mask_.depth()) {}
  std::string name() const override { return name_; }
  std::optional<size_t> depth() const override { return depth_; }
  void decide(const Boundary& at, std::span<Step> steps) const override {
    for (Step& s : steps) s = at.layer < depth_ ? mask_.step(at.layer) : Step::kStop;
  }
  Step taken(const DepthTrace&, size_t layer) const override {
    return layer < depth_ ? mask_.step(layer) : Step::kStop;
  }

 private:
  std::string name_;
  BlockMask mask_;
  size_t depth_;
};

}  // namespace fathom
