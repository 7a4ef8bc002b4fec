// SPDX-License-Identifier: Apache-2.0
// Early exit (docs/methods.md, "Depth policies"): a sequence, or a pair of sequences together,
// stops at the first exit whose confidence measure says that deeper layers would not change the
// answer. measure.h has the measures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "depth/measure.h"
#include "depth/policy.h"
#include "probe/postprocess.h"
#include "probe/probe.h"

namespace fathom {

struct ExitPoint {
  size_t layer = 0;
  double threshold = 0;
  LinearHead head = {};        // if the rule has classes
  Prototypes prototypes = {};  // if the measure needs them
};

struct ExitRule {
  Measure measure = Measure::kSaturation;
  bool pair = false;   // texts 2 i and 2 i + 1 decide and stop together
  size_t n_class = 0;  // of the heads; 1: regression; 0: no heads
  FeatureKind features = FeatureKind::kPooled;
  size_t streak = 1;  // exits in a row, of measures that count them
  double alpha = 1;   // of prototypes: weight of the distances
  std::optional<LearnedToExit> learned;
  // By rising layer. The last layer, where everything stops, may be among them for its head.
  std::vector<ExitPoint> exits;
  std::vector<Postprocess> post;  // (n_layer + 1)
  // (n_layer + 1) each empty or M_l, (dim of e'_l, dim of e'_L): what is returned is M_l^T e'_l, in
  // the space of the last layer. At the last layer, and without maps, it is e'_l.
  std::vector<std::vector<float>> maps;

  size_t n_layer() const { return post.size() - 1; }
  // Whether a threshold decides: not where classes have to agree, and no more than that.
  bool has_threshold() const {
    return traits_of(measure).compare != Compare::kAgrees || n_class == 1;
  }
  // Whether what the formula gave lets a sequence stop, `streak` times in a row: see Compare.
  bool holds(double value, double threshold) const;
  const ExitPoint* exit_at(size_t layer) const;  // nullptr if there is none
  // Throws Error that names the field: what the measure needs is missing, sizes disagree, numbers
  // that are not finite, exits out of order.
  void check(size_t n_layer, size_t d_model) const;
};

class EarlyExit final : public DepthPolicy {
 public:
  // The rule must have been checked.
  EarlyExit(std::string name, ExitRule rule) : name_(std::move(name)), rule_(std::move(rule)) {}

  const ExitRule& rule() const { return rule_; }
  std::string name() const override { return name_; }
  bool by_pair() const override { return rule_.pair; }
  bool reads_pooled(size_t layer) const override;
  size_t scratch() const override { return 2 + rule_.n_class; }  // count, exits seen, last answer
  void decide(const Boundary& at, std::span<Step> steps) const override;
  size_t dim(size_t d_model) const override { return rule_.post.back().out_dim(d_model); }
  void finish(size_t layer, std::span<const float> pooled, std::span<float> out) const override;
  double decision_flops(size_t layer, size_t d_model) const override;
  double finish_flops(size_t layer, size_t d_model) const override;

 private:
  bool is_sure(const Boundary& at, const ExitPoint& exit, size_t s) const;

  std::string name_;
  ExitRule rule_;
};

}  // namespace fathom
