// SPDX-License-Identifier: Apache-2.0
#include "report/frame.h"

#include <algorithm>
#include <cmath>

#include "report/text.h"

namespace fathom {
namespace {

constexpr double kTitleSize = 15;
constexpr double kLegendRow = 20;
constexpr double kSignWidth = 26;  // of a legend's sample line
constexpr double kLabelGap = 8;    // between neighbouring tick labels, at least
constexpr double kShortLabel = 44;
constexpr double kButtonRoom = 250;  // right of the title, where a page puts a figure's buttons

std::vector<std::string> wrap_title(const std::string& text, double width) {
  std::vector<std::string> lines;
  std::string line;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const std::string longer = line.empty() ? word : line + " " + word;
    if (!line.empty() && text_width(longer, kTitleSize, true) > width) {
      lines.push_back(line);
      line = word;
    } else {
      line = longer;
    }
    begin = end + 1;
  }
  if (!line.empty()) lines.push_back(line);
  for (std::string& l : lines) l = fit_text(l, width, kTitleSize, true);
  return lines;
}

void draw_sign(Svg& svg, const LegendItem& item, double x, double y) {
  const double middle = x + kSignWidth / 2;
  switch (item.sign) {
    case LegendItem::kBarSign:
      svg.rect({x + 7, y - 6}, 12, 12, item.role, 2);
      return;
    case LegendItem::kPointsSign:
      svg.marker(item.shape, {middle, y}, 4.5, item.role);
      return;
    case LegendItem::kCurveSign:
    case LegendItem::kLineSign:
      svg.line({x, y}, {x + kSignWidth, y}, {item.role, item.width, item.dashed});
      if (item.sign == LegendItem::kLineSign) svg.marker(item.shape, {middle, y}, 4, item.role);
  }
}

}  // namespace

size_t look_of(const Series& series, size_t i) { return series.look.value_or(i); }

size_t look_of(const ReferenceLine& reference, size_t n_series, size_t i) {
  return reference.look.value_or(n_series + i);
}

LegendItem legend_of(const ReferenceLine& reference, const AxisScale& y, size_t n_series,
                     size_t i) {
  std::string name = reference.name;
  if (y.shows(reference.y)) name += ", " + y.describe(reference.y);
  return {name, series_role(look_of(reference, n_series, i)), LegendItem::kCurveSign, 0, true};
}

double draw_head(Svg& svg, FigureSize size, const std::string& title,
                 const std::vector<LegendItem>& legend) {
  double y = 4;
  const double title_room = size.width > 3 * kButtonRoom ? size.width - kButtonRoom : size.width;
  for (const std::string& line : wrap_title(title, title_room)) {
    y += 15;
    svg.text({0, y}, line, {.size = kTitleSize, .bold = true});
    y += 5;
  }
  if (legend.empty()) return y;
  y += 6 + kLegendRow / 2;
  double x = 0;
  for (const LegendItem& item : legend) {
    const std::string name = fit_text(item.name, size.width - kSignWidth - 8, 12);
    const double width = kSignWidth + 6 + text_width(name, 12);
    if (x > 0 && x + width > size.width) {
      x = 0;
      y += kLegendRow;
    }
    draw_sign(svg, item, x, y);
    svg.text({x + kSignWidth + 6, y + 4}, name, {});
    x += width + 18;
  }
  return y + kLegendRow / 2;
}

CategoryLabels fit_categories(const std::vector<std::string>& categories, double slot) {
  double widest = 0;
  for (const std::string& name : categories) widest = std::max(widest, text_width(name, 12));
  CategoryLabels out;
  const bool fits = widest + kLabelGap <= slot;
  out.turned = !fits && widest > kShortLabel;
  double needed = widest + kLabelGap;
  out.height = kTickLabelHeight;
  if (out.turned) {
    needed = 16;  // lines of turned text
    double cut = 0;
    for (const std::string& name : categories) {
      cut = std::max(cut, text_width(shorten(name, kTurnedColumns), 12));
    }
    out.height = 14 + cut * std::sin(-kTurnedAngle * M_PI / 180);
  }
  size_t every = 1;
  for (const size_t next : {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}) {
    every = next;
    if (static_cast<double>(every) * slot >= needed) break;
  }
  for (size_t i = 0; i < categories.size(); i += every) out.shown.push_back(i);
  if (!out.shown.empty() && out.shown.back() + 1 != categories.size()) {
    const double distance = static_cast<double>(categories.size() - 1 - out.shown.back()) * slot;
    if (distance < needed) out.shown.pop_back();
    out.shown.push_back(categories.size() - 1);
  }
  return out;
}

double category_x(const PlotArea& plot, size_t i, size_t n) {
  return plot.left + plot.width() * (static_cast<double>(i) + 0.5) / static_cast<double>(n);
}

void draw_y_axis(Svg& svg, const PlotArea& plot, const AxisScale& y) {
  svg.text({0, plot.top - 12}, fit_text(y.title(), plot.right, 12), {.role = roles::kMuted});
  for (size_t i = 0; i < y.ticks().size(); ++i) {
    const double at = y(y.ticks()[i]);
    svg.line({plot.left, at}, {plot.right, at}, {roles::kGrid});
    svg.text({plot.left - 8, at + 4}, y.labels()[i], {.role = roles::kMuted, .anchor = "end"});
  }
}

namespace {

void draw_x_title(Svg& svg, const PlotArea& plot, FigureSize size, const std::string& title) {
  svg.text({(plot.left + plot.right) / 2, size.height - 6}, fit_text(title, plot.width(), 12),
           {.role = roles::kMuted, .anchor = "middle"});
  svg.line({plot.left, plot.bottom}, {plot.right, plot.bottom}, {roles::kAxis});
}

}  // namespace

void draw_x_axis(Svg& svg, const PlotArea& plot, FigureSize size, const AxisScale& x) {
  double last = -1e9;  // right edge of the label before
  for (size_t i = 0; i < x.ticks().size(); ++i) {
    const double at = x(x.ticks()[i]);
    svg.line({at, plot.bottom}, {at, plot.bottom + 4}, {roles::kAxis});
    const double half = text_width(x.labels()[i], 12) / 2;
    if (at - half < last + kLabelGap) continue;
    last = at + half;
    svg.text({std::min(at, size.width - half), plot.bottom + 17}, x.labels()[i],
             {.role = roles::kMuted, .anchor = "middle"});
  }
  draw_x_title(svg, plot, size, x.title());
}

void draw_category_axis(Svg& svg, const PlotArea& plot, FigureSize size,
                        const std::vector<std::string>& categories, const CategoryLabels& labels,
                        const std::string& title) {
  for (const size_t i : labels.shown) {
    const double x = category_x(plot, i, categories.size());
    if (labels.turned) {
      svg.text({x + 4, plot.bottom + 14}, shorten(categories[i], kTurnedColumns),
               {.role = roles::kMuted, .anchor = "end", .rotate = kTurnedAngle});
    } else {
      // The last label stays inside the drawing where its point is close to the edge.
      const double half = text_width(categories[i], 12) / 2;
      svg.text({std::min(x, size.width - half), plot.bottom + 17}, categories[i],
               {.role = roles::kMuted, .anchor = "middle"});
    }
  }
  draw_x_title(svg, plot, size, title);
}

bool has_interval(const AxisScale& y, const Point& point) {
  return y.shows(point.low) && y.shows(point.high);
}

void draw_references(Svg& svg, const PlotArea& plot, const AxisScale& y,
                     const std::vector<ReferenceLine>& references, size_t n_series) {
  for (size_t i = 0; i < references.size(); ++i) {
    const ReferenceLine& reference = references[i];
    if (!y.shows(reference.y)) continue;
    const Role role = series_role(look_of(reference, n_series, i));
    svg.open_group(reference.name + "\n" + describe(y, reference.y, reference.low, reference.high));
    if (y.shows(reference.low) && y.shows(reference.high)) {
      const double top = std::min(y(reference.low), y(reference.high));
      const double bottom = std::max(y(reference.low), y(reference.high));
      // Filled bands over each other turn to mud; what is not seen still shows the tooltip.
      svg.rect({plot.left, top}, plot.width(), bottom - top, role, 0, 0);
      for (const double edge : {top, bottom})
        svg.line({plot.left, edge}, {plot.right, edge}, {role, 1, false, 0.45});
    }
    svg.line({plot.left, y(reference.y)}, {plot.right, y(reference.y)}, {role, 2, true});
    svg.close_group();
  }
}

void draw_interval(Svg& svg, const AxisScale& y, double x, const Point& point, Role role) {
  const double low = y(point.low), high = y(point.high);
  const Stroke stroke{role, 1.5, false, 0.65};
  svg.line({x, low}, {x, high}, stroke);
  svg.line({x - 3, low}, {x + 3, low}, stroke);
  svg.line({x - 3, high}, {x + 3, high}, stroke);
}

void draw_no_data(Svg& svg, const PlotArea& plot) {
  svg.text({(plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2}, "No data",
           {.role = roles::kMuted, .anchor = "middle", .halo = true});
}

}  // namespace fathom
