// SPDX-License-Identifier: Apache-2.0
#include "report/figure.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "report/markup.h"

namespace fathom::figure_test {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kMax = std::numeric_limits<double>::max();

Point at(double y) { return {.y = y}; }

Series line(std::vector<double> values) {
  Series s{"line", {}};
  for (const double v : values) s.points.push_back(at(v));
  return s;
}

std::vector<std::string> layers(size_t n) {
  std::vector<std::string> names;
  for (size_t i = 0; i < n; ++i) names.push_back(std::to_string(i));
  names.push_back("final");
  return names;
}

XyChart depth_chart(std::vector<double> values) {
  return {.title = "Quality",
          .x = {.title = "Layer"},
          .y = {.title = "Spearman"},
          .categories = layers(values.size() - 1),
          .series = {line(values)}};
}

// What every figure must keep: well-formed, all numbers finite, nothing drawn outside.
void check(const Chart& chart) {
  for (const FigureSize size : {kWideFigure, kNarrowFigure}) {
    for (const SvgUse use : {SvgUse::kPage, SvgUse::kStandAlone}) {
      const std::string svg = render(chart, size, use);
      const Markup markup(svg, Language::kXml);
      ASSERT_EQ(markup.error(), "");
      ASSERT_EQ(markup.elements().front().name, "svg");
      double left = 0, top = 0, width = 0, height = 0;
      std::istringstream box(markup.elements().front().attributes.at("viewBox"));
      box >> left >> top >> width >> height;
      ASSERT_GT(height, 0);
      for (const Element& e : markup.elements()) {
        for (const auto& [name, value] : e.attributes) {
          const bool is_x = name == "x" || name == "x1" || name == "x2" || name == "cx";
          const bool is_y = name == "y" || name == "y1" || name == "y2" || name == "cy";
          if (name == "d" || is_x || is_y || name == "width" || name == "height") {
            ASSERT_EQ(value.find_first_of("eEnN"), std::string::npos)  // an exponent, nan, inf
                << e.name << " " << name << "=" << value;
          }
          if (!is_x && !is_y) continue;
          const double v = std::strtod(value.c_str(), nullptr);
          ASSERT_GE(v, (is_x ? left : top) - 0.01) << e.name << " " << name << " " << e.text;
          ASSERT_LE(v, (is_x ? left + width : top + height) + 0.01) << e.name << " " << name;
        }
      }
    }
  }
}

double attribute(const Element& e, const char* name) {
  return std::strtod(e.attributes.at(name).c_str(), nullptr);
}

std::string wide(const Chart& chart) { return render(chart, kWideFigure, SvgUse::kPage); }

TEST(Figure, EveryPointHasATooltipWithItsValues) {
  XyChart chart = depth_chart({0.39441, 0.41});
  chart.series[0].points[0].low = 0.30;
  chart.series[0].points[0].high = 0.48;
  const std::string svg = wide(chart);
  EXPECT_NE(svg.find("<title>line\nLayer: 0\nSpearman: 0.3944 [0.3000, 0.4800]</title>"), svg.npos);
  EXPECT_NE(svg.find("<title>line\nLayer: final\nSpearman: 0.4100</title>"), svg.npos);
  check(chart);
}

TEST(Figure, MissingPointsAreGaps) {
  const XyChart chart = depth_chart({0.1, 0.2, kMissing, 0.3, 0.4, kInf, 0.5});
  const std::string svg = wide(chart);
  EXPECT_EQ(count(svg, "<title>"), 5u);
  // Two lines, of two points each; the last point stands alone.
  EXPECT_EQ(count(svg, "fill=\"none\" stroke-linejoin"), 2u);
  EXPECT_EQ(count(svg, "r=\"4\""), 6u);  // five marks and the legend's
  check(chart);
}

TEST(Figure, BandsFollowTheGaps) {
  XyChart chart = depth_chart({0.1, 0.2, kMissing, 0.4, 0.5, 0.6});
  for (Point& p : chart.series[0].points) {
    p.low = p.y - 0.05;
    p.high = p.y + 0.05;
  }
  chart.series[0].points[4].low = kMissing;  // splits the second run: two bars for single points
  const std::string svg = wide(chart);
  EXPECT_EQ(count(svg, "fill-opacity=\"0.12\""), 1u);
  EXPECT_EQ(count(svg, "stroke-opacity=\"0.65\""), 2u * 3u);
  check(chart);
}

TEST(Figure, ReferenceLineHasItsBandAndLegend) {
  XyChart chart = depth_chart({0.3, 0.4});
  chart.references = {{"GloVe 50d", 0.4064, 0.32, 0.485}, {"unknown", kMissing}};
  const std::string svg = wide(chart);
  EXPECT_NE(svg.find(">GloVe 50d, 0.4064</text>"), svg.npos);
  EXPECT_NE(svg.find("<title>GloVe 50d\n0.4064 [0.3200, 0.4850]</title>"), svg.npos);
  EXPECT_EQ(count(svg, "stroke-opacity=\"0.45\""), 2u) << "the edges of its interval";
  check(chart);
}

// Filled bands over each other turn to mud.
TEST(Figure, OneBandIsFilledTheOthersAreOutlined) {
  XyChart chart = depth_chart({0.1, 0.2, 0.3});
  chart.series.push_back(line({0.2, 0.3, 0.4}));
  chart.series.push_back(line({0.3, 0.4, 0.5}));
  for (Series& series : chart.series)
    for (Point& p : series.points) {
      p.low = p.y - 0.05;
      p.high = p.y + 0.05;
    }
  chart.references = {{"words", 0.25, 0.2, 0.3}};
  std::string svg = wide(chart);
  EXPECT_EQ(count(svg, "fill-opacity=\"0.12\" class=\"f-0\""), 1u);
  EXPECT_EQ(count(svg, "fill-opacity=\"0.12\""), 1u);
  EXPECT_EQ(count(svg, "stroke-opacity=\"0.6\""), 2u * 2u);
  // What stands back has neither band nor marks, but its line, its name and its tooltips.
  chart.series[0].quiet = true;
  svg = wide(chart);
  EXPECT_EQ(count(svg, "fill-opacity=\"0.12\" class=\"f-1\""), 1u);
  EXPECT_EQ(count(svg, "stroke-width=\"1.25\""),
            2u + count(svg, "f-1 s-paper") + count(svg, "f-2 s-paper"))
      << "its line and the legend's; marks have an edge of this width, too";
  EXPECT_EQ(count(svg, "f-0 s-paper"), 0u);
  EXPECT_EQ(count(svg, "<title>line\nLayer: 0"), 3u);
  check(chart);
}

TEST(Figure, ALookGoesWithASystemNotWithItsPlace) {
  XyChart chart = depth_chart({0.1, 0.2});
  chart.series[0].look = 3;
  chart.references = {{"bag", 0.2, kMissing, kMissing, 2},
                      {"no difference", 0, kMissing, kMissing, kNeutral}};
  const std::string svg = wide(chart);
  EXPECT_GT(count(svg, "f-3 s-paper"), 0u);
  EXPECT_EQ(count(svg, "\"s-2\""), 2u) << "the line and the legend's";
  for (const char* other : {"\"s-0\"", "\"s-1\"", "f-0 "})
    EXPECT_EQ(count(svg, other), 0u) << other;
  check(chart);
  BarChart bars{.categories = {"a"}, .series = {{"s", {at(1)}}}};
  bars.series[0].look = 5;
  EXPECT_EQ(count(wide(bars), "class=\"f-5\""), 1u);
}

TEST(Figure, PointsOfOneCostStandBesideEachOther) {
  const XyChart chart{
      .series = {{"s", {{.x = 1, .y = 1}, {.x = 2, .y = 2}, {.x = 2, .y = 1.9}}, Mark::kPoints}}};
  const Markup markup(wide(chart), Language::kXml);
  std::vector<double> xs;
  for (const Element& e : markup.all("circle"))
    if (e.attributes.at("r") == "5") xs.push_back(attribute(e, "cx"));
  ASSERT_EQ(xs.size(), 3u);
  EXPECT_NEAR(xs[2] - xs[1], 8, 0.01);
  check(chart);
}

TEST(Figure, MarksOfALineDoNotCollide) {
  XyChart chart{.series = {{"s", {}}}};
  for (int i = 0; i < 30; ++i)
    chart.series[0].points.push_back({.x = i < 25 ? i * 0.1 : i * 1.0, .y = 1.0 * i});
  const std::string svg = render(chart, kNarrowFigure, SvgUse::kPage);
  std::vector<double> xs;
  for (const Element& e : Markup(svg, Language::kXml).all("circle"))
    if (e.attributes.at("r") == "3") xs.push_back(attribute(e, "cx"));
  EXPECT_GT(xs.size(), 5u);
  for (size_t i = 1; i < xs.size(); ++i) EXPECT_GT(xs[i] - xs[i - 1], 6) << i;
  EXPECT_EQ(count(svg, "<title>"), 30u) << "every point keeps its tooltip";
  check(chart);
}

TEST(Figure, TextIsEscaped) {
  const std::string evil = "<script>\"&'\x01\xFF]]>";
  XyChart chart{
      .title = evil,
      .x = {.title = evil, .unit = evil},
      .y = {.title = evil, .unit = evil},
      .series = {{evil, {{.x = 1, .y = 2, .label = evil}, {.x = 3, .y = 4}}, Mark::kPoints}},
      .references = {{evil, 3}},
      .pareto_front = true};
  check(chart);
  EXPECT_EQ(wide(chart).find("<script"), std::string::npos);
  check(BarChart{.title = evil,
                 .x_title = evil,
                 .y = {.title = evil, .unit = evil},
                 .categories = {evil},
                 .series = {{evil, {at(1)}}}});
  check(HeatMap{.title = evil,
                .row_title = evil,
                .column_title = evil,
                .value_title = evil,
                .rows = {evil},
                .columns = {evil},
                .values = {{1}}});
}

TEST(Figure, EmptyChartsSayNoData) {
  const std::vector<Chart> charts = {
      XyChart{},
      XyChart{.categories = {"0"}, .series = {{"s", {at(kMissing)}}}},
      XyChart{.pareto_front = true},
      BarChart{},
      HeatMap{},
      BarChart{.categories = {"a"}, .series = {{"s", {at(kInf)}}}},
      HeatMap{.rows = {"r"}, .values = {{}}}};
  for (const Chart& chart : charts) {
    check(chart);
    EXPECT_NE(wide(chart).find(">No data</text>"), std::string::npos);
  }
  const HeatMap missing_cell{.rows = {"r"}, .columns = {"c"}, .values = {{kMissing}}};
  check(missing_cell);
  EXPECT_NE(wide(missing_cell).find("<title>r, c: missing</title>"), std::string::npos);
}

TEST(Figure, AnyNumbersCanBeDrawn) {
  const std::vector<std::vector<double>> rows = {{0.4},
                                                 {0, 0, 0},
                                                 {-7, -7},
                                                 {1e-320, 2e-320},
                                                 {1e16, 1e16 + 2},
                                                 {-kMax, 0, kMax},
                                                 {kMax, kMax},
                                                 {-1e9, 3, -2e9},
                                                 {1e-12, 2e-12},
                                                 {1e300, 1e-300},
                                                 {std::numeric_limits<double>::denorm_min(), 1}};
  for (const std::vector<double>& values : rows) {
    for (const bool log : {false, true}) {
      for (const char* unit : {"", "s"}) {
        XyChart chart = depth_chart(values);
        chart.y.log = log;
        chart.y.unit = unit;
        check(chart);
        XyChart plane{.x = {.unit = unit, .log = log}, .y = chart.y, .series = chart.series};
        for (Point& p : plane.series[0].points) p.x = p.y;
        plane.series[0].mark = Mark::kPoints;
        plane.pareto_front = true;
        check(plane);
        check(BarChart{.y = chart.y, .categories = chart.categories, .series = chart.series});
      }
    }
    HeatMap map{.rows = {"r"}, .values = {values}};
    for (const double v : values) map.columns.push_back(std::to_string(v).substr(0, 5));
    check(map);
    map.centre = 0;
    check(map);
    map.by_column = true;
    check(map);
  }
}

TEST(Figure, LogAxesLeaveOutZeroAndBelow) {
  XyChart chart{
      .x = {.unit = "s", .log = true},
      .y = {.title = "y"},
      .series = {
          {"s", {{.x = 0, .y = 1}, {.x = -1, .y = 1}, {.x = 0.01, .y = 1}, {.x = 20, .y = 2}}}}};
  const std::string svg = wide(chart);
  EXPECT_EQ(count(svg, "<title>"), 2u);
  EXPECT_NE(svg.find(">10 ms</text>"), svg.npos);
  check(chart);
}

TEST(Figure, UnitsTakeAPrefixInTheTitleOrOnTheTicks) {
  BarChart bars{.y = {.title = "Compute", .unit = "FLOP"},
                .categories = {"a", "b"},
                .series = {{"s", {at(1e8), at(7.36e8)}}}};
  EXPECT_NE(wide(bars).find(">Compute (MFLOP)</text>"), std::string::npos);
  EXPECT_NE(wide(bars).find(">200</text>"), std::string::npos);
  EXPECT_NE(wide(bars).find("Compute: 736.0 MFLOP</title>"), std::string::npos);
  bars.y.prefix = false;
  EXPECT_NE(wide(bars).find(">Compute (FLOP)</text>"), std::string::npos);
  bars.y = {.title = "Accuracy", .unit = "%", .prefix = false};
  bars.series[0].points = {at(66), at(70.5)};
  EXPECT_NE(wide(bars).find(">Accuracy (%)</text>"), std::string::npos);
  EXPECT_NE(wide(bars).find("Accuracy: 70.50 %</title>"), std::string::npos);
}

// The tick labels below the plot, left to right, as (left, right) edges.
void expect_no_overlap(const std::string& svg, const char* anchor) {
  std::map<std::string, double> right_edge;  // per line of text
  for (const Element& e : Markup(svg, Language::kXml).all("text")) {
    const auto found = e.attributes.find("text-anchor");
    if (found == e.attributes.end() || found->second != anchor || e.attributes.count("transform"))
      continue;
    const double x = std::strtod(e.attributes.at("x").c_str(), nullptr);
    const double half = text_width(e.text, 12) / 2;
    const std::string& row = e.attributes.at("y");
    if (right_edge.count(row)) {
      EXPECT_GT(x - half, right_edge[row]) << e.text;
    }
    right_edge[row] = x + half;
  }
}

TEST(Figure, TickLabelsDoNotOverlap) {
  for (size_t n = 1; n < 100; n += 3) {
    const XyChart chart = depth_chart(std::vector<double>(n + 1, 0.5));
    for (const FigureSize size : {kWideFigure, kNarrowFigure}) {
      const std::string svg = render(chart, size, SvgUse::kPage);
      expect_no_overlap(svg, "middle");
      EXPECT_NE(svg.find(">final</text>"), svg.npos) << "the last label stays";
    }
  }
  for (const double high : {1e-7, 0.013, 1.0, 12345.0, 3e7, 1e300}) {
    for (const bool log : {false, true}) {
      const XyChart chart{.x = {.unit = "FLOP", .log = log},
                          .series = {{"s", {{.x = high / 5000, .y = 1}, {.x = high, .y = 2}}}}};
      expect_no_overlap(render(chart, kNarrowFigure, SvgUse::kPage), "middle");
    }
  }
}

TEST(Figure, LongCategoryNamesAreTurnedAndCut) {
  BarChart chart{.categories = {"MRPC", "STS benchmark, the test part of it all", "SST-2", "CoLA",
                                "RTE", "SICK relatedness", "SICK entailment", "Movie reviews",
                                "Subjectivity"}};
  chart.series = {{"s", std::vector<Point>(chart.categories.size(), at(1))}};
  const std::string svg = wide(chart);
  EXPECT_EQ(count(svg, "rotate(-40"), chart.categories.size());
  EXPECT_NE(svg.find(">STS benchmark, the ...</text>"), svg.npos);
  check(chart);
}

TEST(Figure, ManyLongNamesMakeRoomInsteadOfShrinkingThePlot) {
  XyChart chart = depth_chart({0.1, 0.2, 0.3});
  chart.title = "A title so long that it needs several lines in the narrow form of the figure";
  for (int i = 0; i < 12; ++i) {
    chart.series.push_back(line({0.1, 0.2, 0.3}));
    chart.series.back().name = "System with a rather long name, number " + std::to_string(i);
  }
  check(chart);
}

TEST(Figure, BarsStartAtZeroUpAndDown) {
  const BarChart chart{.y = {.title = "gain"},
                       .categories = {"a", "b", "c"},
                       .series = {{"s", {at(2), at(-1), at(kMissing)}}}};
  const Markup markup(wide(chart), Language::kXml);
  const std::vector<Element> bars = markup.all("rect");
  ASSERT_EQ(bars.size(), 2u);
  const auto number = [](const Element& e, const char* name) {
    return std::strtod(e.attributes.at(name).c_str(), nullptr);
  };
  const double foot = number(bars[0], "y") + number(bars[0], "height");
  EXPECT_NEAR(number(bars[1], "y"), foot, 0.02);
  EXPECT_NEAR(number(bars[0], "height"), 2 * number(bars[1], "height"), 0.05);
  check(chart);
}

TEST(Figure, ParetoFrontIsFilledTheRestIsHollow) {
  const XyChart chart{.series = {{"s",
                                  {{.x = 1, .y = 1},
                                   {.x = 2, .y = 3},
                                   {.x = 3, .y = 2},
                                   {.x = 4, .y = 4},
                                   {.x = 4, .y = 3.5},
                                   {.x = 1, .y = 0.5}},
                                  Mark::kPoints}},
                      .pareto_front = true};
  const std::string svg = wide(chart);
  EXPECT_EQ(count(svg, "class=\"f-0 s-paper\""), 3u + 1u);  // (1,1) (2,3) (4,4), and the legend's
  EXPECT_EQ(count(svg, "class=\"f-paper s-0\""), 3u);
  EXPECT_NE(svg.find(">Pareto front (filled)</text>"), svg.npos);
  // Solid, to the right edge, over everything: dashed are references.
  EXPECT_EQ(count(svg, "stroke-dasharray"), 0u);
  EXPECT_NE(svg.find("L826 "), svg.npos);
  check(chart);
}

TEST(Figure, PointLabelsNeverCoverEachOtherOrAMark) {
  XyChart chart{.series = {{"s", {}, Mark::kPoints}}};
  for (int i = 0; i < 40; ++i) {
    chart.series[0].points.push_back({.x = std::cos(i * 0.7) * i,
                                      .y = std::sin(i * 0.7) * i,
                                      .label = "point " + std::to_string(i)});
  }
  const Markup markup(wide(chart), Language::kXml);
  struct Box {
    double left, right, top, bottom;
  };
  std::vector<Box> boxes;
  for (const Element& e : markup.all("text")) {
    if (e.text.find("point") != 0) continue;
    const double x = std::strtod(e.attributes.at("x").c_str(), nullptr);
    const double y = std::strtod(e.attributes.at("y").c_str(), nullptr);
    const double width = text_width(e.text, 11);
    const auto anchor = e.attributes.find("text-anchor");
    const double left = anchor == e.attributes.end() ? x
                        : anchor->second == "middle" ? x - width / 2
                                                     : x - width;
    boxes.push_back({left, left + width, y - 8, y + 2});
  }
  EXPECT_GT(boxes.size(), 10u);
  for (size_t a = 0; a < boxes.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      const bool apart = boxes[a].right <= boxes[b].left || boxes[b].right <= boxes[a].left ||
                         boxes[a].bottom <= boxes[b].top || boxes[b].bottom <= boxes[a].top;
      EXPECT_TRUE(apart) << a << " and " << b;
    }
    for (const Element& mark : markup.all("circle")) {
      const double x = std::strtod(mark.attributes.at("cx").c_str(), nullptr);
      const double y = std::strtod(mark.attributes.at("cy").c_str(), nullptr);
      EXPECT_FALSE(x > boxes[a].left && x < boxes[a].right && y > boxes[a].top &&
                   y < boxes[a].bottom);
    }
  }
}

TEST(HeatMapFigure, ColoursSpanTheTableOrEachColumn) {
  HeatMap map{.rows = {"a", "b"},
              .columns = {"small", "large"},
              .values = {{0.1, 100}, {0.2, 300}},
              .digits = 1};
  EXPECT_NE(wide(map).find("<title>b, large: 300.0</title>"), std::string::npos);
  // Over the table the small column is all lowest: two cells and the scale's first step.
  EXPECT_EQ(count(wide(map), "\"f-h0\""), 3u);
  map.by_column = true;
  EXPECT_EQ(count(wide(map), "\"f-h0\""), 3u);
  EXPECT_EQ(count(wide(map), "\"f-h10\""), 3u);
  map.by_column = false;
  map.centre = 0;
  EXPECT_EQ(count(wide(map), "\"f-h0\""), 0u);
  EXPECT_EQ(count(wide(map), "\"f-d10\""), 2u);  // 300 and the scale's last step
  check(map);
}

// Where a row's numbers have no room its columns go on below.
TEST(HeatMapFigure, NumbersStayInNarrowFigures) {
  HeatMap map{.title = "Exits", .row_title = "Point", .column_title = "Layer", .digits = 2};
  for (size_t c = 0; c < 33; ++c) map.columns.push_back(std::to_string(c));
  for (size_t r = 0; r < 4; ++r) {
    map.rows.push_back("threshold 0.000" + std::to_string(r));
    map.values.emplace_back(33, 0.25);
  }
  const std::string narrow = render(map, kNarrowFigure, SvgUse::kPage);
  EXPECT_EQ(count(narrow, ">0.25</text>"), 4u * 33u + 2u) << "and the ends of the scale";
  EXPECT_EQ(count(narrow, ">Layer</text>"), count(narrow, ">threshold 0.0001</text>"));
  EXPECT_GT(count(narrow, ">Layer</text>"), 1u);
  for (const std::string column : {"0", "32"})
    EXPECT_EQ(count(narrow, ">" + column + "</text>"), 1u) << column;
  check(map);
  map.columns.resize(5);
  for (auto& row : map.values) row.resize(5);
  EXPECT_EQ(count(wide(map), ">Layer</text>"), 1u) << "one block where there is room";
}

// The legend of colours ends within a narrow figure: what has no room is cut from its title.
TEST(HeatMapFigure, TheLegendStaysInside) {
  HeatMap map{.rows = {"0"}, .columns = {"MRPC"}, .values = {{0.5}}};
  for (const bool by_column : {false, true}) {
    for (const char* title : {"", "leading metric", "a title of the scale that is long itself"}) {
      map.by_column = by_column;
      map.value_title = title;
      const std::string svg = render(map, kNarrowFigure, SvgUse::kPage);
      double right = 0;
      const Markup markup(svg, Language::kXml);
      for (const Element& e : markup.elements()) {
        if (e.name != "text" || e.attributes.contains("text-anchor")) continue;
        right = std::max(right, attribute(e, "x") + text_width(e.text, 12));
      }
      EXPECT_GT(right, 0);
      EXPECT_LE(right, kNarrowFigure.width) << title << by_column;
      EXPECT_EQ(count(svg, ">of its column</text>"), by_column ? 1u : 0u);
    }
  }
}

TEST(Figure, StandAloneFilesBringTheirColours) {
  const XyChart chart = depth_chart({0.1, 0.2});
  const std::string file = render(chart, kWideFigure, SvgUse::kStandAlone);
  EXPECT_EQ(file.find("<?xml"), 0u);
  EXPECT_NE(file.find("prefers-color-scheme:dark"), file.npos);
  EXPECT_NE(file.find("fill=\"#0072b2\""), file.npos);
  EXPECT_EQ(file.find("var("), file.npos) << "programs without custom properties would draw black";
  EXPECT_EQ(Markup(file, Language::kXml).elements()[1].name, "title");
  const std::string part = render(chart, kWideFigure, SvgUse::kPage);
  EXPECT_EQ(part.find("<style"), part.npos);
  EXPECT_NE(part.find("width=\"100%\""), part.npos);
  EXPECT_NE(part.find("viewBox=\"0 0 840 420\""), part.npos);
  EXPECT_NE(part.find("role=\"img\" aria-label=\"Quality\""), part.npos);
}

TEST(Palette, SeriesColoursStandOffTheirGround) {
  // Contrast of at least 3 : 1, as WCAG 2.1 asks of graphics, in light and dark.
  const auto luminance = [](const std::string& hex) {
    double sum = 0;
    const double weight[] = {0.2126, 0.7152, 0.0722};
    for (size_t k = 0; k < 3; ++k) {
      const double v = std::stoi(hex.substr(1 + 2 * k, 2), nullptr, 16) / 255.0;
      sum += weight[k] * (v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4));
    }
    return sum;
  };
  const auto contrast = [&](const std::string& a, const std::string& b) {
    const double x = luminance(a), y = luminance(b);
    return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
  };
  const RoleColours& paper = colours(roles::kPaper);
  for (size_t n = 0; n < roles::kSeries; ++n) {
    EXPECT_GE(contrast(colours(series_role(n)).light, paper.light), 3) << n;
    EXPECT_GE(contrast(colours(series_role(n)).dark, paper.dark), 3) << n;
  }
  for (const Role text : {roles::kText, roles::kMuted}) {
    EXPECT_GE(contrast(colours(text).light, paper.light), 4.5);
    EXPECT_GE(contrast(colours(text).dark, paper.dark), 4.5);
  }
  for (const bool diverging : {false, true}) {
    for (int level = 0; level <= 10; ++level) {
      const HeatRoles heat = heat_roles(level / 10.0, diverging);
      EXPECT_GE(contrast(colours(heat.ground).light, colours(heat.text).light), 4.0);
      EXPECT_GE(contrast(colours(heat.ground).dark, colours(heat.text).dark), 4.0);
    }
  }
}

TEST(FigureDeathTest, ShapesAreTheCallersDuty) {
  XyChart chart = depth_chart({0.1, 0.2});
  chart.categories.pop_back();
  EXPECT_DEATH(wide(chart), "bug at");
  EXPECT_DEATH(wide(BarChart{.categories = {}, .series = {{"s", {at(1)}}}}), "bug at");
  EXPECT_DEATH(wide(HeatMap{.rows = {"r"}, .columns = {"c"}, .values = {}}), "bug at");
  EXPECT_DEATH(wide(HeatMap{.rows = {"r"}, .columns = {"c"}, .values = {{1, 2}}}), "bug at");
}

}  // namespace
}  // namespace fathom::figure_test
