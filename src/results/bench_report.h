// SPDX-License-Identifier: Apache-2.0
// What `fathom bench` found, for people and for programs.
#pragma once

#include <string>

#include "base/json.h"
#include "study/bench_model.h"

namespace fathom {

std::string to_text(const BenchReport& report);
// `about`, then the figures of the last run, then all loads and runs.
OrderedJson to_json(const BenchReport& report);

}  // namespace fathom
