// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.h"
#include "report/figure_forms.h"
#include "report/frame.h"
#include "report/text.h"

namespace fathom {
namespace {

constexpr double kValueSize = 11;  // font of the value above a bar

class BarFigure {
 public:
  BarFigure(const BarChart& chart, FigureSize size, SvgUse use)
      : chart_(chart),
        size_(size),
        svg_(size.width, size.height, chart.title, use),
        y_(with_foot(chart.y, y_values(chart.series, chart.references)),
           y_values(chart.series, chart.references), static_cast<size_t>(size.height / 70)) {
    for (const Series& series : chart_.series) {
      FATHOM_ASSERT(series.points.size() <= chart_.categories.size());
    }
  }

  std::string render() {
    lay_out();
    draw_y_axis(svg_, plot_, y_);
    for (size_t s = 0; s < chart_.series.size(); ++s) {
      for (size_t i = 0; i < chart_.series[s].points.size(); ++i) draw_bar(s, i);
    }
    draw_references(svg_, plot_, y_, chart_.references, chart_.series.size());
    draw_values();
    if (!has_data_) draw_no_data(svg_, plot_);
    draw_category_axis(svg_, plot_, size_, chart_.categories, category_labels_, chart_.x_title);
    if (base_ < plot_.bottom - 1) {
      svg_.line({plot_.left, base_}, {plot_.right, base_}, {roles::kAxis});
    }
    return svg_.str();
  }

 private:
  // A bar's length is its value, so a linear axis starts at zero; a logarithmic one has no zero and
  // starts at the power of ten below.
  static Axis with_foot(Axis axis, std::span<const double> values) {
    if (!axis.log) {
      axis.from = std::min(axis.from.value_or(0), 0.0);
      axis.to = std::max(axis.to.value_or(0), 0.0);
      return axis;
    }
    double lowest = kMissing;
    for (const double v : values) {
      if (v > 0 && !(v >= lowest)) lowest = v;
    }
    if (!axis.from && std::isfinite(lowest)) {
      axis.from = std::pow(10, std::floor(std::log10(lowest) - 0.1));
    }
    return axis;
  }

  void lay_out() {
    std::vector<LegendItem> legend;
    for (size_t s = 0; s < chart_.series.size(); ++s) {
      const Series& series = chart_.series[s];
      for (const Point& p : series.points) has_data_ |= y_.shows(p.y);
      const bool says_nothing =
          series.name.empty() || (chart_.series.size() == 1 && chart_.references.empty());
      if (says_nothing) continue;
      legend.push_back(
          {series.name, series_role(look_of(series, s)), LegendItem::kBarSign, s, false});
    }
    for (size_t i = 0; i < chart_.references.size(); ++i) {
      has_data_ |= y_.shows(chart_.references[i].y);
      legend.push_back(legend_of(chart_.references[i], y_, chart_.series.size(), i));
    }
    const double head = draw_head(svg_, size_, chart_.title, legend);
    plot_.left = std::ceil(y_.widest_label()) + 12;
    plot_.right = size_.width - 14;
    plot_.top = head + kAxisTitleHeight + 10;
    const double n_slot = static_cast<double>(std::max<size_t>(chart_.categories.size(), 1));
    category_labels_ = fit_categories(chart_.categories, plot_.width() / n_slot);
    size_.height += std::max(0.0, head - kUsualHead) + category_labels_.height - kTickLabelHeight;
    svg_.set_height(size_.height);
    plot_.bottom = size_.height - category_labels_.height - kAxisTitleHeight;
    y_.place(plot_.bottom, plot_.top);
    base_ = chart_.y.log ? plot_.bottom : y_(0);
    // Many categories need their width for the bars, few would make them heavy.
    group_ = std::min(plot_.width() / n_slot * 0.76, 90.0);
    bar_ = group_ / static_cast<double>(std::max<size_t>(chart_.series.size(), 1));
  }

  double bar_left(size_t s, size_t i) const {
    return category_x(plot_, i, chart_.categories.size()) - group_ / 2 +
           bar_ * static_cast<double>(s);
  }

  std::string tooltip(size_t s, size_t i) const {
    const Point& p = chart_.series[s].points[i];
    const std::string& name = chart_.series[s].name;
    std::string text = name.empty() ? "" : name + "\n";
    text += chart_.x_title.empty() ? "" : chart_.x_title + ": ";
    text += chart_.categories[i] + "\n";
    if (!p.label.empty()) text += p.label + "\n";
    text += chart_.y.title.empty() ? "" : chart_.y.title + ": ";
    return text + describe(y_, p.y, p.low, p.high);
  }

  void draw_bar(size_t s, size_t i) {
    const Point& p = chart_.series[s].points[i];
    if (!y_.shows(p.y)) return;
    const double gap = chart_.series.size() > 1 ? std::min(1.5, bar_ * 0.1) : 0;
    const double end = y_(p.y);
    // A value too small to see is still a value.
    const double height = std::max(std::abs(end - base_), 1.0);
    const double top = end < base_ ? base_ - height : base_;
    svg_.open_group(tooltip(s, i));
    svg_.rect({bar_left(s, i) + gap / 2, top}, bar_ - gap, height,
              series_role(look_of(chart_.series[s], s)), std::min(2.0, height / 2));
    if (has_interval(y_, p)) {
      draw_interval(svg_, y_, bar_left(s, i) + bar_ / 2, p, roles::kText);
    }
    svg_.close_group();
  }

  // Values stand above the bars where all of them have room.
  void draw_values() {
    for (const Series& series : chart_.series) {
      for (const Point& p : series.points) {
        const bool fits = text_width(y_.short_label(p.y), kValueSize) + 2 <= bar_;
        if (y_.shows(p.y) && (!fits || has_interval(y_, p))) return;
      }
    }
    for (size_t s = 0; s < chart_.series.size(); ++s) {
      for (size_t i = 0; i < chart_.series[s].points.size(); ++i) {
        const double value = chart_.series[s].points[i].y;
        if (!y_.shows(value)) continue;
        const double at = y_(value) <= base_ ? y_(value) - 5 : y_(value) + 13;
        svg_.text({bar_left(s, i) + bar_ / 2, at}, y_.short_label(value),
                  {.size = kValueSize, .anchor = "middle", .halo = true});
      }
    }
  }

  const BarChart& chart_;
  FigureSize size_;
  Svg svg_;
  AxisScale y_;
  PlotArea plot_{};
  CategoryLabels category_labels_;
  double base_ = 0;             // y of the bars' foot
  double group_ = 0, bar_ = 0;  // widths
  bool has_data_ = false;
};

}  // namespace

std::string render_bars(const BarChart& chart, FigureSize size, SvgUse use) {
  return BarFigure(chart, size, use).render();
}

}  // namespace fathom
