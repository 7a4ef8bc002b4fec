// SPDX-License-Identifier: Apache-2.0
// What a depth policy did with texts: a table of each, and a line of all.
#pragma once

#include <span>
#include <string>

#include "depth/policy.h"
#include "encode/describe.h"
#include "eval/policy_flops.h"

namespace fathom {

// One row a text: line, exit_layer, time_mix, channel_mix, route, class, value, confidence; in front
// of them its file, where files are given: (n_text).
std::string trace_csv(std::span<const size_t> line, std::span<const DepthTrace> trace,
                      std::span<const std::string> file = {});

// "exit:p: layer 2.10 of 12 on average, 20.1 % of the sublayers, 19.8 % of the FLOPs of full depth"
std::string summary_of(const DepthPolicy& policy, const ExitCounts& exits, size_t n_layer,
                       const PolicyFlops& flops);
// "exits: layer 1 20.0 %, layer 2 80.0 %"
std::string exits_of(const ExitCounts& exits);

}  // namespace fathom
