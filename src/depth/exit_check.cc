// SPDX-License-Identifier: Apache-2.0
// What an exit rule must be before it is run: it may come from a file that nobody has checked.
#include <algorithm>
#include <cmath>

#include "depth/exit.h"

namespace fathom {
namespace {

void check_finite(std::span<const float> values, const std::string& name) {
  for (float v : values) FATHOM_REQUIRE(std::isfinite(v), name, ": a number is not finite");
}

void check_post(const Postprocess& post, size_t d_model, const std::string& name) {
  const auto sized = [&](const std::vector<float>& values, const char* part, size_t divisor) {
    FATHOM_REQUIRE(values.size() % divisor == 0 && (values.empty() || !post.mean.empty()), name,
                   ".", part, ": ", values.size(), " numbers do not fit vectors of ", d_model);
    check_finite(values, name + "." + part);
  };
  FATHOM_REQUIRE(post.mean.empty() || post.mean.size() == d_model, name, ".mean: expected ",
                 d_model, " numbers, got ", post.mean.size());
  FATHOM_REQUIRE(post.scale.empty() || post.scale.size() == d_model, name, ".scale: expected ",
                 d_model, " numbers, got ", post.scale.size());
  sized(post.mean, "mean", 1);
  sized(post.scale, "scale", 1);
  sized(post.removed, "removed", d_model);
  sized(post.matrix, "matrix", d_model);
}

struct Checker {
  const ExitRule& rule;
  size_t n_layer, d_model;

  size_t dim(size_t layer) const { return rule.post[layer].out_dim(d_model); }

  void rule_itself() const {
    const MeasureTraits& m = traits_of(rule.measure);
    FATHOM_REQUIRE(rule.streak >= 1, "streak: expected at least 1, got ", rule.streak);
    FATHOM_REQUIRE(std::isfinite(rule.alpha) && rule.alpha >= 0, "alpha: expected at least 0, got ",
                   rule.alpha);
    FATHOM_REQUIRE(m.least_classes < 2 || rule.n_class >= m.least_classes, "n_class: ", m.name,
                   " needs heads of at least ", m.least_classes, " classes, got ", rule.n_class);
    FATHOM_REQUIRE(rule.n_class >= m.least_classes, "n_class: ", m.name,
                   " needs heads, got 0 classes");
    FATHOM_REQUIRE(!m.needs_pair || rule.pair, "pair: ", m.name,
                   " compares the two sentences of a pair; expected true");
    FATHOM_REQUIRE(rule.n_class == 0 || takes_pair(rule.features) == rule.pair,
                   "features: ", name_of(rule.features),
                   rule.pair ? " are not of a pair" : " are of a pair");
    FATHOM_REQUIRE(m.needs_learned == rule.learned.has_value(),
                   "learned: expected with measure learned and no other");
    FATHOM_REQUIRE(rule.post.size() == n_layer + 1 && rule.maps.size() == n_layer + 1,
                   "post, maps: expected one a layer, ", n_layer + 1, ", got ", rule.post.size(),
                   " and ", rule.maps.size());
    FATHOM_REQUIRE(!rule.exits.empty(), "exits: expected at least one");
  }

  void exit(const ExitPoint& e) const {
    const std::string name = concat("exit at layer ", e.layer);
    FATHOM_REQUIRE(e.layer <= n_layer, name, ": the model has layers 0 to ", n_layer);
    FATHOM_REQUIRE(std::isfinite(e.threshold), name, ": the threshold is not a finite number");
    if (traits_of(rule.measure).compares_layers) {
      FATHOM_REQUIRE(e.layer > 0, name, ": ", name_of(rule.measure),
                     " compares with the layer before; expected 1 or more");
      FATHOM_REQUIRE(dim(e.layer) == dim(e.layer - 1), name, ": vectors of ", dim(e.layer),
                     " numbers, of ", dim(e.layer - 1), " in the layer before");
    }
    if (rule.n_class > 0) {
      FATHOM_REQUIRE(e.head.n_class == rule.n_class && e.head.features == rule.features, name,
                     ": its head has ", e.head.n_class, " classes on ", name_of(e.head.features),
                     ", the rule ", rule.n_class, " on ", name_of(rule.features));
      e.head.check(name + ": head", dim(e.layer));
    }
    if (traits_of(rule.measure).needs_prototypes) {
      const size_t n_feature = feature_dim(rule.features, dim(e.layer));
      FATHOM_REQUIRE(e.prototypes.scale.size() == n_feature &&
                         e.prototypes.mean.size() == rule.n_class * n_feature,
                     name, ": prototypes: expected ", rule.n_class, " x ", n_feature,
                     " numbers, got ", e.prototypes.mean.size());
      check_finite(e.prototypes.mean, name + ": prototypes.mean");
      check_finite(e.prototypes.scale, name + ": prototypes.scale");
    }
    if (rule.learned)
      FATHOM_REQUIRE(rule.learned->weight.size() == dim(e.layer) + 3, name, ": learned.weight has ",
                     rule.learned->weight.size(), " numbers, expected ", dim(e.layer) + 3);
  }

  // Vectors of all exits are returned in one space of one dimension.
  void outputs() const {
    const bool maps = std::ranges::any_of(rule.maps, [](const auto& m) { return !m.empty(); });
    for (const ExitPoint& e : rule.exits) {
      const std::string name = concat("exit at layer ", e.layer);
      const std::vector<float>& map = rule.maps[e.layer];
      if (e.layer == n_layer)
        FATHOM_REQUIRE(map.empty(), name, ": the last layer needs no map");
      else if (maps)
        FATHOM_REQUIRE(map.size() == dim(e.layer) * dim(n_layer), name, ": map: expected ",
                       dim(e.layer), " x ", dim(n_layer), " numbers, got ", map.size());
      else
        FATHOM_REQUIRE(dim(e.layer) == dim(n_layer), name, ": vectors of ", dim(e.layer),
                       " numbers, of ", dim(n_layer), " at the last layer, and no map");
      check_finite(map, name + ": map");
    }
  }
};

}  // namespace

void ExitRule::check(size_t n_layer, size_t d_model) const {
  const Checker check{*this, n_layer, d_model};
  check.rule_itself();
  for (size_t l = 0; l <= n_layer; ++l) check_post(post[l], d_model, concat("post of layer ", l));
  if (learned) {
    check_finite(learned->weight, "learned.weight");
    check_finite({&learned->bias, 1}, "learned.bias");
  }
  for (size_t i = 0; i < exits.size(); ++i) {
    FATHOM_REQUIRE(i == 0 || exits[i - 1].layer < exits[i].layer,
                   "exits: expected rising layers, got ", exits[i].layer, " after ",
                   exits[i - 1].layer);
    check.exit(exits[i]);
  }
  check.outputs();
}

}  // namespace fathom
