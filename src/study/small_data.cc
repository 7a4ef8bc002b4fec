// SPDX-License-Identifier: Apache-2.0
#include "study/small_data.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "probe/calibrate.h"

namespace fathom {

AdaptedTarget adapt_target(const ExitTarget& target, bool asked, size_t n_calibration) {
  using Kind = ExitTarget::Kind;
  if (target.kind != Kind::kGuarantee || n_calibration == 0) return {target, ""};
  const size_t needed = rows_needed(target.value, target.epsilon);
  if (n_calibration >= needed) return {target, ""};
  const std::string why = fmt::format(
      "a loss of at most {} with probability {} needs {} calibration rows at least, and there are "
      "{}: what they can guarantee is a loss of at most {:.2f}",
      target.value, 1 - target.epsilon, needed, n_calibration,
      std::ceil(100 * smallest_certified(n_calibration, target.epsilon)) / 100);
  if (asked)
    throw Error(concat(why, "; give that, or a target without a guarantee (a mean loss, a speed)"));
  return {{Kind::kLoss, target.value, 0},
          fmt::format("{}. The threshold is chosen by a mean loss of at most {} on them instead, "
                      "without a guarantee",
                      why, target.value)};
}

}  // namespace fathom
