// SPDX-License-Identifier: Apache-2.0
// --policies of `fathom sweep` and `fathom advise`: names of methods (sweep.h) and policy files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fathom {

bool is_measure(std::string_view policy);  // "exit:entropy"
bool is_file(std::string_view policy);     // "mask:FILE", "route:FILE", "exit:FILE"
// Baselines are made of the answers of single layers.
bool is_baseline(std::string_view policy);

// Every name once, in the order given; "all" stands for the baselines and every measure, "exit" for
// every measure. Throws InvalidOption.
std::vector<std::string> parse_policies(std::string_view text);

}  // namespace fathom
