// SPDX-License-Identifier: Apache-2.0
// What a depth policy did with each text, as a table.
#pragma once

#include <span>
#include <string>

#include "depth/policy.h"

namespace fathom {

// One row a text: line, exit_layer, time_mix, channel_mix, route, class, value, confidence.
std::string trace_csv(std::span<const size_t> line, std::span<const DepthTrace> trace);

}  // namespace fathom
