// SPDX-License-Identifier: Apache-2.0
// An estimate as JSON, by json_of() and value_of_json(): {"value": 0.7, "low": 0.68, "high": 0.72}.
#pragma once

#include "base/json_fields.h"
#include "study/sweep_score.h"

namespace fathom {

template <class Io>
void list_fields(Io& io, Of<Io, Estimate>& x) {
  io("value", x.value);
  io("low", x.low);
  io("high", x.high);
}

}  // namespace fathom
