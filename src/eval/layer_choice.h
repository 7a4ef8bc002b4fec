// SPDX-License-Identifier: Apache-2.0
// Which layer to take: the best, and the shallowest that is not worse as far as the rows can tell.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "eval/bootstrap.h"

namespace fathom {

struct LayerChoice {
  size_t best = 0, shallowest = 0;  // places in the list of layers
  // 1 - 0.05 / m: intervals of m differences at this level hold all at once with 95 % (Bonferroni).
  double level = 0.95;
  size_t n_compared = 0;  // m, the layers in front of the best
};

// value: (n_layer) from shallow to deep; replicates: (n_layer, n_resample) of the same resamples. The
// best is the first with the largest value. A layer is not worse if the interval of its paired
// difference from the best reaches 0. nullopt if no value is finite.
std::optional<LayerChoice> choose_layer(std::span<const double> value,
                                        std::span<const std::vector<double>> replicates);

}  // namespace fathom
