// SPDX-License-Identifier: Apache-2.0
// What a depth policy did with texts: a table of each, and a line of all.
#pragma once

#include <span>
#include <string>

#include "depth/policy.h"
#include "eval/policy_flops.h"

namespace fathom {

// One row a text: line, exit_layer, time_mix, channel_mix, route, class, value, confidence.
std::string trace_csv(std::span<const size_t> line, std::span<const DepthTrace> trace);

// "exit:p: layer 2.10 of 12 on average, 20.1 % of the sublayers, 19.8 % of the FLOPs of full depth"
std::string summary_of(const DepthPolicy& policy, std::span<const DepthTrace> trace, size_t n_layer,
                       const PolicyFlops& flops);

}  // namespace fathom
