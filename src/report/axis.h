// SPDX-License-Identifier: Apache-2.0
// AxisScale: from values to pixels, with the ticks and their labels. Internal to the figures.
// Not changed after place(); const members are thread-safe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "report/figure.h"
#include "report/number.h"

namespace fathom {

class AxisScale {
 public:
  // The domain covers the values that can be shown (not finite, or <= 0 on a logarithmic axis,
  // cannot), with a little room around; it is never empty. n_tick: about how many ticks.
  AxisScale(const Axis& axis, std::span<const double> values, size_t n_tick);

  // Pixels of the domain's ends; from may be above to (y axes grow upwards).
  void place(double from, double to);

  bool shows(double value) const;
  double operator()(double value) const;  // needs shows(value)

  double low() const { return low_; }
  double high() const { return high_; }
  const std::vector<double>& ticks() const { return ticks_; }
  const std::vector<std::string>& labels() const { return labels_; }
  double widest_label() const;                         // pixels
  const std::string& title() const { return title_; }  // with unit: "Time (ms)"
  std::string describe(double value) const;            // for a tooltip: "12.3 ms"
  std::string short_label(double value) const;         // beside a mark, in the ticks' unit: "12.3"

 private:
  void choose_domain(std::span<const double> values);
  void label_ticks();
  std::string describe(double value, NumberFormat format) const;

  Axis axis_;
  double low_ = 0, high_ = 1;
  double from_ = 0, to_ = 1;
  double factor_ = 1;  // of the unit's prefix, by which tick labels are divided
  std::vector<double> ticks_;
  std::vector<std::string> labels_;
  std::string title_;
};

// All that a y axis has to show: points and lines with their intervals.
std::vector<double> y_values(std::span<const Series> series,
                             std::span<const ReferenceLine> references);

// "0.394 [0.301, 0.482]" for a tooltip, or the value alone.
std::string describe(const AxisScale& axis, double value, double low, double high);

}  // namespace fathom
