// SPDX-License-Identifier: Apache-2.0
#include "eval/layer_choice.h"

#include <cmath>

#include "base/error.h"

namespace fathom {

std::optional<LayerChoice> choose_layer(std::span<const double> value,
                                        std::span<const std::vector<double>> replicates) {
  FATHOM_ASSERT(value.size() == replicates.size());
  std::optional<size_t> best;
  for (size_t l = 0; l < value.size(); ++l)
    if (std::isfinite(value[l]) && (!best || value[l] > value[*best])) best = l;
  if (!best) return std::nullopt;
  LayerChoice choice{.best = *best, .shallowest = *best, .n_compared = *best};
  if (*best == 0) return choice;
  choice.level = 1 - 0.05 / static_cast<double>(*best);
  for (size_t l = 0; l < *best; ++l) {
    if (!std::isfinite(value[l])) continue;
    const PairedDifference d = paired_difference(replicates[l], replicates[*best], choice.level);
    if (!(d.interval.high >= 0)) continue;
    choice.shallowest = l;
    break;
  }
  return choice;
}

}  // namespace fathom
