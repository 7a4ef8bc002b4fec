// SPDX-License-Identifier: Apache-2.0
// Random exit rules of every measure.
#pragma once

#include <string>

#include "base/random.h"
#include "depth/exit.h"

namespace fathom::test {

class RuleMaker {
 public:
  explicit RuleMaker(uint64_t seed) : random_(seed) {}

  float uniform(double low, double high) {
    return static_cast<float>(low +
                              (high - low) * static_cast<double>(random_.next() >> 11) * 0x1p-53);
  }
  std::vector<float> numbers(size_t n, double low = -1, double high = 1) {
    std::vector<float> v(n);
    for (float& x : v) x = uniform(low, high);
    return v;
  }

  // Exits at the given layers, with what the measure needs. n_class 0: as the measure likes it.
  ExitRule rule(Measure measure, bool pair, size_t n_layer, size_t d_model,
                std::vector<size_t> layers, size_t n_class = 0) {
    ExitRule r;
    r.measure = measure;
    r.pair = pair;
    r.n_class = n_class ? n_class : traits_of(measure).least_classes > 0 ? 3 : 0;
    r.features = pair ? FeatureKind::kSymmetricPair : FeatureKind::kPooled;
    r.post.resize(n_layer + 1);
    r.maps.resize(n_layer + 1);
    const size_t n_feature = feature_dim(r.features, d_model);
    for (size_t layer : layers) {
      ExitPoint e{.layer = layer};
      if (r.n_class > 0) {
        e.head = {.features = r.features, .n_class = r.n_class, .weight = {}, .bias = {}};
        e.head.weight = numbers(e.head.n_row() * n_feature);
        e.head.bias = numbers(e.head.n_row());
        e.head.temperature = uniform(0.5, 2);
      }
      if (traits_of(measure).needs_prototypes) {
        e.prototypes.mean = numbers(r.n_class * n_feature);
        e.prototypes.scale = numbers(n_feature, 0.5, 2);
      }
      r.exits.push_back(std::move(e));
    }
    if (traits_of(measure).needs_learned) r.learned = {numbers(d_model + 3), uniform(-1, 1)};
    return r;
  }
  // Centring at every layer, and a square matrix at some: dimensions stay.
  void add_post(ExitRule& r, size_t d_model) {
    for (size_t l = 0; l < r.post.size(); ++l) {
      r.post[l].mean = numbers(d_model);
      if (l % 2) r.post[l].matrix = numbers(d_model * d_model);
    }
  }
  void add_maps(ExitRule& r, size_t d_model) {
    for (const ExitPoint& e : r.exits)
      if (e.layer < r.n_layer()) r.maps[e.layer] = numbers(d_model * d_model);
  }

 private:
  Random random_;
};

inline void set_thresholds(ExitRule& rule, double threshold, size_t streak = 1) {
  for (ExitPoint& e : rule.exits) e.threshold = threshold;
  rule.streak = streak;
}

// Thresholds that nothing passes, or everything where the measure can.
inline void make_impossible(ExitRule& rule) {
  const bool below = traits_of(rule.measure).compare != Compare::kAtLeast;
  set_thresholds(rule, below ? -1 : 2, rule.measure == Measure::kPatience ? 1000 : 1);
}

}  // namespace fathom::test
