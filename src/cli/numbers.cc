// SPDX-License-Identifier: Apache-2.0
#include "cli/numbers.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <string>

#include "base/parse_whole.h"

namespace fathom::cli {
namespace {

constexpr uint64_t kUnbounded = std::numeric_limits<uint64_t>::max();

std::string wanted(uint64_t low, uint64_t high) {
  if (high == kUnbounded) return fmt::format("a whole number from {} to 2^64 - 1", low);
  return fmt::format("a whole number from {} to {}", low, high);
}

std::string wanted(const RealBounds& bounds) {
  std::string text = "a number";
  if (bounds.at_least && bounds.at_most)
    return fmt::format("a number from {} to {}", *bounds.at_least, *bounds.at_most);
  if (bounds.above) text += fmt::format(" above {}", *bounds.above);
  if (bounds.at_least) text += fmt::format(" of at least {}", *bounds.at_least);
  if (bounds.at_most) text += fmt::format(" up to {}", *bounds.at_most);
  return text;
}

std::optional<double> parse_real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

bool is_within(const RealBounds& bounds, double value) {
  return (!bounds.at_least || value >= *bounds.at_least) &&
         (!bounds.above || value > *bounds.above) && (!bounds.at_most || value <= *bounds.at_most);
}

}  // namespace

CLI::Validator whole_number(uint64_t low, uint64_t high) {
  const auto check = [low, high](std::string& text) {
    const std::optional<uint64_t> value = parse_whole(text);
    if (!value || *value < low || *value > high)
      return fmt::format("expected {}, got '{}'", wanted(low, high), text);
    text = std::to_string(*value);  // CLI11 would take leading zeros for octal digits
    return std::string();
  };
  const std::string range = high == kUnbounded ? low == 0 ? "" : fmt::format("from {}", low)
                                               : fmt::format("{} to {}", low, high);
  return CLI::Validator(check, range, "whole");
}

CLI::Validator real_number(RealBounds bounds) {
  const auto check = [bounds](std::string& text) {
    const std::optional<double> value = parse_real(text);
    if (value && is_within(bounds, *value)) return std::string();
    return fmt::format("expected {}, got '{}'", wanted(bounds), text);
  };
  // "a number from 0 to 1" without its article.
  return CLI::Validator(check, wanted(bounds).substr(2), "real");
}

}  // namespace fathom::cli
