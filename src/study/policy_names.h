// SPDX-License-Identifier: Apache-2.0
// --policies of `fathom sweep` and `fathom advise`: names of methods (sweep.h) and policy files.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "depth/measure.h"

namespace fathom {

std::optional<Measure> measure_of(std::string_view policy);  // of "exit:entropy", else nullopt
inline bool is_measure(std::string_view policy) { return measure_of(policy).has_value(); }
bool is_file(std::string_view policy);  // "mask:FILE", "route:FILE", "exit:FILE"
// Of one for which is_file() holds: FILE.
std::string file_of(std::string_view policy);
// Baselines are made of the answers of single layers.
bool is_baseline(std::string_view policy);

// Every name once, in the order given; a policy FILE without its kind gets it from the file; "all"
// stands for the baselines and every measure, "exit" for every measure. Throws InvalidOption; Error
// as read_policy_file().
std::vector<std::string> parse_policies(std::string_view text);

}  // namespace fathom
