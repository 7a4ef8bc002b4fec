// SPDX-License-Identifier: Apache-2.0
// Removes losses that are only rounding errors: 1 - cos of a vector with itself may be -1.6e-17.
#pragma once

#include <cmath>

namespace fathom {

// 0 where the loss is below what a mean of cosines can tell from it.
inline double without_rounding(double loss) { return std::abs(loss) < 1e-12 ? 0 : loss; }

}  // namespace fathom
