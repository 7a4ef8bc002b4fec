// SPDX-License-Identifier: Apache-2.0
#include "probe/confidence.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "probe/features.h"

namespace fathom {
namespace {

// H / ln K in [0, 1].
double normalised_entropy(std::span<const double> logits) {
  FATHOM_ASSERT(logits.size() >= 2);
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0, weighted = 0;  // of exp(z - top), and of that times z - top
  for (double z : logits) {
    const double e = std::exp(z - top);
    sum += e;
    weighted += e * (z - top);
  }
  const double entropy = std::log(sum) - weighted / sum;
  return std::clamp(entropy / std::log(static_cast<double>(logits.size())), 0.0, 1.0);
}

double kl_to_middle(double p, double q) { return p > 0 ? p * std::log(2 * p / (p + q)) : 0; }

// Smallest first.
std::array<double, 2> two_smallest(std::span<const double> values) {
  FATHOM_ASSERT(values.size() >= 2);
  std::array<double, 2> least = {std::min(values[0], values[1]), std::max(values[0], values[1])};
  for (double x : values.subspan(2)) {
    if (x < least[0])
      least = {x, least[0]};
    else
      least[1] = std::min(least[1], x);
  }
  return least;
}

}  // namespace

double max_probability(std::span<const double> p) { return *std::max_element(p.begin(), p.end()); }

double margin(std::span<const double> p) {
  FATHOM_ASSERT(p.size() >= 2);
  double first = std::max(p[0], p[1]), second = std::min(p[0], p[1]);
  for (double x : p.subspan(2)) {
    if (x > first) {
      second = first;
      first = x;
    } else {
      second = std::max(second, x);
    }
  }
  return first - second;
}

double entropy_confidence(std::span<const double> logits) { return 1 - normalised_entropy(logits); }

double js_divergence(std::span<const double> p, std::span<const double> q) {
  FATHOM_ASSERT(p.size() == q.size());
  double sum = 0;
  for (size_t k = 0; k < p.size(); ++k) sum += kl_to_middle(p[k], q[k]) + kl_to_middle(q[k], p[k]);
  return std::clamp(0.5 * sum / std::log(2.0), 0.0, 1.0);
}

double saturation(std::span<const float> e, std::span<const float> previous) {
  return std::clamp(cosine_of(e, previous), 0.0, 1.0);
}

double distance_ratio(std::span<const double> distances) {
  const auto [r1, r2] = two_smallest(distances);
  return r2 > 0 ? 0.5 * (1 + (r1 - r2) / r2) : 0.5;
}

double prototype_confidence(std::span<const double> distances, std::span<const double> logits,
                            double alpha) {
  constexpr double kFloor = 1e-6;
  const double dr = std::max(distance_ratio(distances), kFloor);
  const double h = std::max(normalised_entropy(logits), kFloor);
  return 1 - (alpha + 1) / (alpha / dr + 1 / h);
}

}  // namespace fathom
