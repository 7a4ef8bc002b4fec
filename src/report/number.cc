// SPDX-License-Identifier: Apache-2.0
#include "report/number.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace fathom {
namespace {

// The decimal exponent of value after rounding to `digits` significant digits: 9.996, 3 -> 1.
int rounded_exponent(double value, int digits) {
  const std::string text = fmt::format("{:.{}e}", value, digits - 1);
  return std::stoi(text.substr(text.find('e') + 1));
}

std::string format_fixed(double value, int digits) {
  // Digits that a double does not hold are not worth three hundred places.
  if (std::abs(value) >= 1e17) return fmt::format("{:.{}e}", value, std::max(digits, 1));
  std::string text = fmt::format("{:.{}f}", value, digits);
  const bool is_zero = text.find_first_not_of("-0.") == text.npos;
  if (is_zero && text.front() == '-') text.erase(0, 1);
  return text;
}

std::string format_significant(double value, int digits) {
  if (value == 0) return "0";
  const int exponent = rounded_exponent(value, digits);
  if (exponent < -5 || exponent > 14) return fmt::format("{:.{}e}", value, digits - 1);
  // 123456 with 3 digits is 123000, not 123456: the rest is not known.
  if (exponent >= digits) {
    const double unit = std::pow(10, exponent - digits + 1);
    value = std::round(value / unit) * unit;
  }
  return format_fixed(value, std::max(0, digits - 1 - exponent));
}

constexpr std::array<std::string_view, 11> kPrefixes = {"p", "n", "u", "m", "", "k",
                                                        "M", "G", "T", "P", "E"};
constexpr int kPrefixOfOne = 4;  // index of ""

SiPrefix prefix_of_exponent(int exponent) {
  const int thousand = exponent >= 0 ? exponent / 3 : -((2 - exponent) / 3);
  const int prefix = thousand + kPrefixOfOne;
  if (prefix < 0 || prefix > 10) return {};
  return {kPrefixes[static_cast<size_t>(prefix)], std::pow(10, 3 * thousand)};
}

}  // namespace

std::string format_number(double value, NumberFormat format) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const int digits = std::clamp(format.digits, format.notation == Notation::kFixed ? 0 : 1, 17);
  switch (format.notation) {
    case Notation::kShortest:
      return value == 0 ? "0" : fmt::format("{}", value);
    case Notation::kFixed:
      return format_fixed(value, digits);
    case Notation::kSignificant:
      return format_significant(value, digits);
    case Notation::kSi: {
      if (value == 0) return "0";
      const SiPrefix prefix = prefix_of_exponent(rounded_exponent(value, digits));
      std::string text = format_significant(value / prefix.factor, digits);
      return prefix.symbol.empty() ? text : text.append(" ").append(prefix.symbol);
    }
  }
  FATHOM_ASSERT(!"unknown notation");
}

SiPrefix si_prefix(double value) {
  if (value == 0 || !std::isfinite(value)) return {};
  return prefix_of_exponent(rounded_exponent(value, 6));
}

std::vector<double> nice_ticks(double low, double high, size_t n_about) {
  FATHOM_ASSERT(low < high && std::isfinite(low) && std::isfinite(high));
  const double n = static_cast<double>(std::max<size_t>(n_about, 2));
  const double rough = high / n - low / n;  // high - low may not fit a double
  const double power = std::pow(10, std::floor(std::log10(rough)));
  if (!(power > 0) || !std::isfinite(power)) return {low};
  const double fraction = rough / power;
  double step = power * (fraction < 1.5 ? 1 : fraction < 3.5 ? 2 : fraction < 7.5 ? 5 : 10);
  if (!std::isfinite(step)) step = power;
  // The last digits of a quotient are noise: 0.3 / 0.1 is below 3.
  const double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
  std::vector<double> ticks;
  for (double k = first; k <= last; ++k) {
    const double tick = k == 0 ? 0 : k * step;
    if (!ticks.empty() && tick == ticks.back())
      break;  // the step is below what a double tells apart
    ticks.push_back(tick);
  }
  return ticks;
}

std::vector<double> nice_log_ticks(double low, double high, size_t n_about) {
  FATHOM_ASSERT(low > 0 && low < high && std::isfinite(high));
  const double n_decade = std::log10(high) - std::log10(low);
  const double n = static_cast<double>(std::max<size_t>(n_about, 1));
  if (n_decade < 0.7) return nice_ticks(low, high, n_about);
  std::vector<double> in_decade = {1};  // more as room allows
  if (n_decade * 2 <= n) in_decade = {1, 3};
  if (n_decade * 3 <= n) in_decade = {1, 2, 5};
  if (n_decade * 5 <= n) in_decade = {1, 2, 3, 5, 7};
  const int every = std::max(1, static_cast<int>(std::ceil(n_decade / n)));
  std::vector<double> ticks;
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  for (int exponent = first; exponent <= last; ++exponent) {
    if (exponent % every != 0) continue;
    for (const double digit : in_decade) {
      const double tick = digit * std::pow(10, exponent);
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  }
  return ticks.empty() ? nice_ticks(low, high, n_about) : ticks;
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks, double factor) {
  double largest = 0;
  for (const double t : ticks) largest = std::max(largest, std::abs(t / factor));
  const bool scientific = largest >= 1e6 || (largest > 0 && largest < 1e-4);
  std::vector<std::string> labels;
  for (int digits = 0; digits <= 12; ++digits) {
    labels.clear();
    bool exact = true;
    for (const double t : ticks) {
      const double value = t / factor;
      labels.push_back(scientific && value != 0 ? fmt::format("{:.{}e}", value, digits)
                                                : format_fixed(value, scientific ? 0 : digits));
      double read = 0;
      std::from_chars(labels.back().data(), labels.back().data() + labels.back().size(), read);
      exact &= std::abs(read - value) <= 1e-6 * std::abs(value);
    }
    if (exact) break;
  }
  return labels;
}

}  // namespace fathom
