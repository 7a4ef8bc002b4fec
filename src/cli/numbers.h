// SPDX-License-Identifier: Apache-2.0
// Checks of options whose value is a number: the whole text has to be one, within its bounds. CLI11
// alone takes -1 for 2^64 - 1, an empty text for 0, 010 for 8 and NaN for a number in any range.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <optional>

namespace fathom::cli {

// For options that hold a whole number. Refused: "expected a whole number from 1 to 8, got '-1'".
CLI::Validator whole_number(uint64_t low = 0, uint64_t high = std::numeric_limits<uint64_t>::max());

// The bounds of a real number; those that are left out are not.
struct RealBounds {
  std::optional<double> at_least = {}, above = {}, at_most = {};
};
// For options that hold a finite real number.
CLI::Validator real_number(RealBounds bounds);

}  // namespace fathom::cli
