// SPDX-License-Identifier: Apache-2.0
// The end of a command that chooses (fit, advise, prune, route): three lines to act on.
// Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"

namespace fathom {

struct Closing {
  std::vector<std::string> warnings = {};  // stand before the lines
  std::string chosen;                      // what was chosen
  std::string effect;  // what it saves and loses on rows that were not used for the choice
  std::string use;     // the command that uses it, for a shell
};
std::string to_text(const Closing& closing);
OrderedJson to_json(const Closing& closing);

// What was typed: the model, and where the policy was written.
struct CommandPlaces {
  std::string model, output;
};
// With classify where the policy has heads, else with embed.
std::string use_line(const CommandPlaces& places, bool has_heads, bool is_pair);

// "loses 2.76 %" of a share 0.0276, "gains 2.76 %" of -0.0276, "loses 0.00 %" of what is rounding.
std::string loss_words(double share, int digits);
// "nothing is saved", where so much of full depth's FLOPs is left; "" where something is.
std::string warn_of_no_saving(double flops_share);
// Of rows that a choice rests on; "" where there are enough.
std::string warn_of_few_rows(size_t n, const char* rows);

}  // namespace fathom
