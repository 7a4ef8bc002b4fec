// SPDX-License-Identifier: Apache-2.0
// Defaults for small data: what few rows allow, and what happens where they do not allow the usual
// default.
#pragma once

#include <cstddef>
#include <string>

#include "study/fit_exit.h"

namespace fathom {

struct AdaptedTarget {
  ExitTarget target;
  std::string note;  // what was changed and why; "": nothing
};
// A guarantee that so many calibration rows cannot give becomes a mean loss of the same size on
// them.
// asked: a user asked for this very target; it is then refused with an Error that says what is
// possible instead.
AdaptedTarget adapt_target(const ExitTarget& target, bool asked, size_t n_calibration);

}  // namespace fathom
