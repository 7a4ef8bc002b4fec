// SPDX-License-Identifier: Apache-2.0
// Figures: a chart is plain data, render() makes one SVG of it.
//
// Numbers that are not finite are missing: a gap in a line, no bar, an empty cell; on a logarithmic
// axis so is everything below or at zero. Every mark has a tooltip with its values. Colours have a
// light and a dark form (palette.h); series differ by shape as well as by colour.
// What is solid was measured at the x where it stands; dashed are baselines and references. Of the
// bands of intervals one is filled, the others are outlined.
// Pure functions; thread-safe. A shape that does not fit (more points than categories) is a bug.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "report/svg.h"

namespace fathom {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

struct Axis {
  std::string title = {};  // "Spearman correlation"
  std::string unit = {};   // a symbol, "s", "FLOP": shown with an SI prefix where that reads better
  bool prefix = true;      // false: the unit takes no prefix ("%")
  bool log = false;
  std::optional<double> from = {}, to = {};  // the axis reaches at least this far
};

struct Point {
  double x = kMissing;  // not read where the chart has categories: point i stands at category i
  double y = kMissing;
  double low = kMissing, high = kMissing;  // interval of y; both or neither
  std::string label = {};                  // beside the mark of Mark::kPoints; in every tooltip
};

enum class Mark {
  kLine,    // line with points; intervals as a band
  kPoints,  // points alone; intervals as bars
  kCurve,   // line alone
};

struct Series {
  std::string name = {};
  std::vector<Point> points = {};
  Mark mark = Mark::kLine;
  bool dashed = false;
  // Colour and shape: number n looks alike in all figures, so that a system can keep its look on a
  // page; kNeutral for what is no system. None: its place among the series.
  std::optional<size_t> look = {};
  bool quiet = false;  // of lines: thin, without marks and intervals, behind the others
};

// A horizontal line over the whole width, with a band where it has an interval.
struct ReferenceLine {
  std::string name = {};
  double y = kMissing;
  double low = kMissing, high = kMissing;
  std::optional<size_t> look = {};  // as of a series; none: its place behind the series
};

// Lines and points on two axes: quality by depth (categories "0" to "12", "final"), quality against
// cost (numbers, x perhaps logarithmic), calibration.
struct XyChart {
  std::string title = {};
  Axis x = {}, y = {};
  std::vector<std::string> categories = {};  // if any, x is these
  std::vector<Series> series = {};
  std::vector<ReferenceLine> references = {};
  // Only without categories. Marks the points that no other point beats with both a smaller x and a
  // larger y, over all series: they are filled, a stepped line joins them and goes on to the right
  // edge, and the points of kPoints beside it are hollow.
  bool pareto_front = false;
};

// One group of bars per category, one bar per series (point i: category i; x, mark and dashed are
// not read). From zero up or down; on a logarithmic axis from its lower end.
struct BarChart {
  std::string title = {};
  std::string x_title = {};
  Axis y = {};
  std::vector<std::string> categories = {};
  std::vector<Series> series = {};
  std::vector<ReferenceLine> references = {};
};

struct HeatMap {
  std::string title = {};
  std::string row_title = {}, column_title = {}, value_title = {};
  std::vector<std::string> rows = {}, columns = {};
  std::vector<std::vector<double>> values = {};  // (rows, columns)
  int digits = 3;                                // decimals written in a cell
  bool by_column = false;  // colours span each column by itself (metrics of different range)
  std::optional<double> centre = {};  // a diverging scale around this value, e.g. 0 for differences
};

using Chart = std::variant<XyChart, BarChart, HeatMap>;

// In pixels. Long legends and turned labels add to the height; a heat map takes what its rows need,
// and where a row's numbers do not fit beside each other its columns go on in further blocks below.
struct FigureSize {
  double width, height;
};
constexpr FigureSize kWideFigure{840, 420};
constexpr FigureSize kNarrowFigure{400, 340};

std::string render(const Chart& chart, FigureSize size, SvgUse use);

}  // namespace fathom
