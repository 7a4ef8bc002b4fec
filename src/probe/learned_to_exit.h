// SPDX-License-Identifier: Apache-2.0
// Fitting learned-to-exit: logistic regression by IRLS (Newton), shared over layers.
#pragma once

#include <cstdint>
#include <span>

#include "base/matrix.h"
#include "probe/probe.h"

namespace fathom {

// inputs: (n, dim + 3), rows [e; c1; c3; c7] of any layers; wrong: (n), 1 where the answer there
// differs from that of full depth (or from the label), else 0. Minimises 1/2 |w|^2 + the sum of
// log losses over standardised inputs. Throws Error: no rows, numbers that are not finite.
LearnedToExit fit_learned_to_exit(Matrix<const float> inputs, std::span<const uint32_t> wrong);

}  // namespace fathom
