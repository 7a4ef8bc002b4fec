// SPDX-License-Identifier: Apache-2.0
#include "report/axis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/number.h"
#include "report/text.h"

namespace fathom {
namespace {

constexpr double kLargest = std::numeric_limits<double>::max();
constexpr double kSmallest = 1e-280;  // below this, differences lose their digits

// What ASCII writes with a substitute.
std::string typeset(std::string text) {
  for (size_t at = 0; (at = text.find('-', at)) != text.npos;) text.replace(at, 1, "\u2212");
  if (!text.empty() && text.back() == 'u') text.replace(text.size() - 1, 1, "\u00b5");
  return text;
}

std::string with_title(const std::string& title, const std::string& unit) {
  if (unit.empty()) return title;
  return title.empty() ? unit : title + " (" + unit + ")";
}

// Room beyond the ends that get it, and beyond both where all values are equal.
void add_room(bool log, bool at_low, bool at_high, double& low, double& high) {
  const double size = std::max({std::abs(low), std::abs(high), kSmallest});
  const bool all_equal = high / size - low / size < 1e-9;
  if (all_equal) at_low = at_high = true;
  if (log) {
    // Equal lengths on both sides are equal factors.
    const double room = all_equal ? 2 : std::pow(high / low, 0.04);
    if (at_low) low = std::max(low / room, 1e-300);
    if (at_high) high = std::min(high * room, kLargest);
    return;
  }
  const bool is_zero = size == kSmallest;
  const double room = is_zero ? 1 : all_equal ? size * 0.05 : high * 0.05 - low * 0.05;
  const bool amounts = low >= 0;
  if (at_low) low = std::max(low - room, -kLargest);
  if (at_high) high = std::min(high + room, kLargest);
  // Amounts have no less than zero.
  if (amounts && low < 0) low = 0;
}

}  // namespace

AxisScale::AxisScale(const Axis& axis, std::span<const double> values, size_t n_tick)
    : axis_(axis) {
  choose_domain(values);
  ticks_ = axis_.log ? nice_log_ticks(low_, high_, n_tick) : nice_ticks(low_, high_, n_tick);
  label_ticks();
}

void AxisScale::choose_domain(std::span<const double> values) {
  double low = kLargest, high = -kLargest;
  const auto cover = [&](double v) {
    if (!shows(v)) return;
    low = std::min(low, v);
    high = std::max(high, v);
  };
  for (const double v : values) cover(v);
  // An end that was asked for is the end unless the data go beyond it; other ends get room.
  const bool gets_room_low = !(axis_.from && *axis_.from <= low);
  const bool gets_room_high = !(axis_.to && *axis_.to >= high);
  if (axis_.from) cover(*axis_.from);
  if (axis_.to) cover(*axis_.to);
  if (low > high) {
    low = axis_.log ? 1 : 0;
    high = axis_.log ? 10 : 1;
  }
  add_room(axis_.log, gets_room_low, gets_room_high, low, high);
  low_ = low;
  high_ = high;
}

void AxisScale::label_ticks() {
  const double largest = std::max(std::abs(ticks_.front()), std::abs(ticks_.back()));
  const bool use_unit = !axis_.unit.empty() && axis_.prefix;
  // Over several prefixes each label shows its own, with the unit, not the title: "10 µs", "1 ms".
  if (axis_.log && ticks_.back() / ticks_.front() > 999) {
    for (const double t : ticks_) {
      labels_.push_back(use_unit ? describe(t, si(1)) : typeset(format_number(t, si(1))));
    }
    title_ = with_title(axis_.title, use_unit ? "" : axis_.unit);
    return;
  }
  // On a logarithmic axis the small ticks decide: 0.01 M reads worse than 10 k.
  SiPrefix prefix = si_prefix(axis_.log ? ticks_.front() : largest);
  if (!use_unit && largest < 1e5) prefix = {};
  factor_ = prefix.factor;
  labels_ = tick_labels(ticks_, factor_);
  for (std::string& label : labels_) {
    if (!use_unit && !prefix.symbol.empty() && label != "0")
      label.append(" ").append(prefix.symbol);
    label = typeset(label);
  }
  std::string symbol = typeset(std::string(prefix.symbol));
  title_ = with_title(axis_.title, use_unit ? symbol + axis_.unit : axis_.unit);
}

void AxisScale::place(double from, double to) {
  from_ = from;
  to_ = to;
}

bool AxisScale::shows(double value) const {
  return std::isfinite(value) && (!axis_.log || value >= 1e-300);
}

double AxisScale::operator()(double value) const {
  double share = 0;
  if (axis_.log) {
    share = std::log(value / low_) / std::log(high_ / low_);
    if (!std::isfinite(share)) {  // the quotient left the range of double
      share = (std::log(value) - std::log(low_)) / (std::log(high_) - std::log(low_));
    }
  } else {
    share = (value / 4 - low_ / 4) / (high_ / 4 - low_ / 4);  // high - low may not fit a double
  }
  return from_ + share * (to_ - from_);
}

double AxisScale::widest_label() const {
  double widest = 0;
  for (const std::string& label : labels_) widest = std::max(widest, text_width(label, 12));
  return widest;
}

std::string AxisScale::describe(double value) const {
  const bool use_prefix = !axis_.unit.empty() && axis_.prefix;
  return describe(value, use_prefix ? si(4) : significant(4));
}

std::string AxisScale::describe(double value, NumberFormat format) const {
  std::string text = typeset(format_number(value, format));
  if (axis_.unit.empty()) return text;
  const bool has_prefix = text.find(' ') != text.npos;
  return text + (has_prefix ? "" : " ") + axis_.unit;
}

std::string AxisScale::short_label(double value) const {
  if (axis_.log || (axis_.unit.empty() && factor_ != 1)) return describe(value, si(3));
  // The same decimals for all: three digits for the largest.
  const double largest = std::max(std::abs(low_), std::abs(high_)) / factor_;
  const int decimals = std::clamp(2 - static_cast<int>(std::floor(std::log10(largest))), 0, 6);
  const std::string text = format_number(value / factor_, fixed(decimals));
  const bool vanished = value != 0 && text.find_first_not_of("0.") == text.npos;
  return vanished ? "\u22480" : typeset(text);
}

std::string describe(const AxisScale& axis, double value, double low, double high) {
  std::string text = axis.describe(value);
  if (std::isfinite(low) && std::isfinite(high)) {
    text += " [" + axis.describe(low) + ", " + axis.describe(high) + "]";
  }
  return text;
}

std::vector<double> y_values(std::span<const Series> series,
                             std::span<const ReferenceLine> references) {
  std::vector<double> values;
  for (const Series& one : series)
    for (const Point& p : one.points) values.insert(values.end(), {p.y, p.low, p.high});
  for (const ReferenceLine& r : references) values.insert(values.end(), {r.y, r.low, r.high});
  return values;
}

}  // namespace fathom
