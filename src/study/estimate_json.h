// SPDX-License-Identifier: Apache-2.0
// Figures in results: a number that is not finite is null.
#pragma once

#include <cmath>

#include "base/json.h"
#include "study/sweep_score.h"

namespace fathom {

inline OrderedJson json_of(double x) {
  return std::isfinite(x) ? OrderedJson(x) : OrderedJson(nullptr);
}

inline OrderedJson json_of(const Estimate& e) {
  return {{"value", json_of(e.value)}, {"low", json_of(e.low)}, {"high", json_of(e.high)}};
}

}  // namespace fathom
