// SPDX-License-Identifier: Apache-2.0
// Frame: what all charts share around their marks: title, legend, axes. Internal to the figures.
//
// A chart is laid out from the top: title, legend, the y axis' title, the plot, then tick labels
// and the x axis' title. One thread at a time.
#pragma once

#include <string>
#include <vector>

#include "report/axis.h"
#include "report/svg.h"

namespace fathom {

struct LegendItem {
  enum Sign { kLineSign, kPointsSign, kCurveSign, kBarSign };
  std::string name;
  Role role;
  Sign sign = kLineSign;
  size_t shape = 0;
  bool dashed = false;
  double width = 2;
};

// Colour and shape of series i, and of reference line i behind n_series series.
size_t look_of(const Series& series, size_t i);
size_t look_of(const ReferenceLine& reference, size_t n_series, size_t i);

// The legend's entry of a reference line: "words-50d, 0.4064".
LegendItem legend_of(const ReferenceLine& reference, const AxisScale& y, size_t n_series, size_t i);

// The plot's edges in pixels.
struct PlotArea {
  double left, top, right, bottom;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
};

// Height of a head of one title line and one legend line; what a head takes beyond that, and turned
// labels beyond one line, is added to the figure, not taken from its plot.
constexpr double kUsualHead = 50;

// Title and legend; returns the y below them. Long titles are set on several lines, entries without
// room on the line go to the next.
double draw_head(Svg& svg, FigureSize size, const std::string& title,
                 const std::vector<LegendItem>& legend);

// Which category labels are written, so that none touches another. Short ones are thinned (the last
// one stays), long ones are turned.
constexpr size_t kTurnedColumns = 22;  // a turned name is cut to this
constexpr double kTurnedAngle = -40;   // degrees
struct CategoryLabels {
  std::vector<size_t> shown;
  bool turned = false;
  double height = 0;  // pixels below the plot
};
CategoryLabels fit_categories(const std::vector<std::string>& categories, double slot);

// Middle of category i of n.
double category_x(const PlotArea& plot, size_t i, size_t n);

// Grid, tick labels and title. The y axis' title stands above the plot, at the left edge.
void draw_y_axis(Svg& svg, const PlotArea& plot, const AxisScale& y);
void draw_x_axis(Svg& svg, const PlotArea& plot, FigureSize size, const AxisScale& x);
void draw_category_axis(Svg& svg, const PlotArea& plot, FigureSize size,
                        const std::vector<std::string>& categories, const CategoryLabels& labels,
                        const std::string& title);

// Horizontal reference lines with the edges of their intervals.
void draw_references(Svg& svg, const PlotArea& plot, const AxisScale& y,
                     const std::vector<ReferenceLine>& references, size_t n_series);

// A vertical interval bar with caps.
void draw_interval(Svg& svg, const AxisScale& y, double x, const Point& point, Role role);

// True where the point has an interval that the axis can show.
bool has_interval(const AxisScale& y, const Point& point);

void draw_no_data(Svg& svg, const PlotArea& plot);

// Height of the x axis' title line and of the y axis' title line, and of a row of tick labels.
constexpr double kAxisTitleHeight = 22;
constexpr double kTickLabelHeight = 20;

}  // namespace fathom
