// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them, and the places where an axis is marked. Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

enum class Notation {
  kShortest,     // as few digits as give the same double back
  kFixed,        // `digits` after the point: 0.3944
  kSignificant,  // `digits` in all: 0.394, 12.3, 1230
  kSi,           // `digits` in all and an SI prefix: "12.3 M"; micro is "u", for plain ASCII
};

struct NumberFormat {
  Notation notation = Notation::kShortest;
  int digits = 0;
};
constexpr NumberFormat fixed(int digits) { return {Notation::kFixed, digits}; }
constexpr NumberFormat significant(int digits) { return {Notation::kSignificant, digits}; }
constexpr NumberFormat si(int digits) { return {Notation::kSi, digits}; }

// ASCII. "nan", "inf", "-inf" for those; never "-0.000".
std::string format_number(double value, NumberFormat format);

// The SI prefix under which `value` has one to three digits before the point: {"M", 1e6}. The empty
// prefix with factor 1 for zero, for values that are not finite, and beyond pico and exa.
struct SiPrefix {
  std::string_view symbol;
  double factor = 1;
};
SiPrefix si_prefix(double value);

// Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], ascending: about
// `n_about` of them, at least one and at most twice that. Needs low < high, both finite; any size,
// up to the ends of double.
std::vector<double> nice_ticks(double low, double high, size_t n_about);

// The same on a logarithmic axis, low > 0: powers of ten, thinned where there are many decades,
// with up to five ticks a decade where there are few; nice_ticks where the range is less than 0.7
// decades.
std::vector<double> nice_log_ticks(double low, double high, size_t n_about);

// One label per tick: fixed notation with as many decimals as tell all of them apart, or
// significant notation where that would be long (1e+12). `factor` divides the values first.
std::vector<std::string> tick_labels(const std::vector<double>& ticks, double factor = 1);

}  // namespace fathom
