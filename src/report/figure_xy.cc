// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "report/figure_forms.h"
#include "report/frame.h"
#include "report/labels.h"

namespace fathom {
namespace {

// Which series and point; in the order of the series.
using PointIndex = std::pair<size_t, size_t>;

constexpr double kNarrow = 500;  // figures below this have smaller marks
constexpr double kDodge = 8;     // between points that stand at one x
constexpr double kQuietWidth = 1.25;

class XyFigure {
 public:
  XyFigure(const XyChart& chart, FigureSize size, SvgUse use)
      : chart_(chart),
        size_(size),
        svg_(size.width, size.height, chart.title, use),
        y_(chart.y, y_values(chart.series, chart.references),
           static_cast<size_t>(size.height / 70)),
        x_(chart.x, x_values(chart), static_cast<size_t>(size.width / 100)) {
    for (const Series& series : chart_.series) {
      FATHOM_ASSERT(chart_.categories.empty() || series.points.size() <= chart_.categories.size());
    }
    FATHOM_ASSERT(chart_.categories.empty() || !chart_.pareto_front);
    if (chart_.pareto_front) front_ = find_front();
  }

  std::string render() {
    lay_out();
    draw_y_axis(svg_, plot_, y_);
    draw_references(svg_, plot_, y_, chart_.references, chart_.series.size());
    for (size_t s = 0; s < chart_.series.size(); ++s) draw_intervals(s);
    svg_.polyline(front_steps(), {roles::kText, 1.5, false, 0.6});
    for (const bool quiet : {true, false})
      for (size_t s = 0; s < chart_.series.size(); ++s)
        if (chart_.series[s].quiet == quiet) draw_lines(s);
    for (size_t s = 0; s < chart_.series.size(); ++s) draw_points(s);
    draw_labels();
    if (!has_data_) draw_no_data(svg_, plot_);
    if (is_categorical()) {
      draw_category_axis(svg_, plot_, size_, chart_.categories, category_labels_, chart_.x.title);
    } else {
      draw_x_axis(svg_, plot_, size_, x_);
    }
    return svg_.str();
  }

 private:
  static std::vector<double> x_values(const XyChart& chart) {
    std::vector<double> values;
    for (const Series& series : chart.series) {
      for (const Point& p : series.points) {
        if (std::isfinite(p.y)) values.push_back(p.x);
      }
    }
    return values;
  }

  bool is_categorical() const { return !chart_.categories.empty(); }
  const Point& point(PointIndex i) const { return chart_.series[i.first].points[i.second]; }

  bool is_shown(PointIndex i) const {
    return y_.shows(point(i).y) && (is_categorical() || x_.shows(point(i).x));
  }
  size_t look(size_t s) const { return look_of(chart_.series[s], s); }
  Role role(size_t s) const { return series_role(look(s)); }

  double x_of(PointIndex i) const {
    if (is_categorical()) return category_x(plot_, i.second, chart_.categories.size());
    const double x = x_(point(i).x);
    const Series& series = chart_.series[i.first];
    if (series.mark != Mark::kPoints) return x;
    // Points of the same cost stand beside each other, not on each other.
    size_t n_before = 0;
    for (size_t other = 0; other < i.second; ++other)
      n_before += is_shown({i.first, other}) && std::abs(x_(series.points[other].x) - x) < 1;
    return std::min(x + kDodge * static_cast<double>(n_before), std::max(x, plot_.right));
  }
  XY at(PointIndex i) const { return {x_of(i), y_(point(i).y)}; }
  bool on_front(PointIndex i) const {
    return std::find(front_.begin(), front_.end(), i) != front_.end();
  }

  void lay_out() {
    std::vector<LegendItem> legend;
    for (size_t s = 0; s < chart_.series.size(); ++s) {
      const Series& series = chart_.series[s];
      for (size_t i = 0; i < series.points.size(); ++i) has_data_ |= is_shown({s, i});
      if (series.name.empty()) continue;
      const auto sign = series.mark == Mark::kLine     ? LegendItem::kLineSign
                        : series.mark == Mark::kPoints ? LegendItem::kPointsSign
                                                       : LegendItem::kCurveSign;
      legend.push_back(
          {series.name, role(s),
           series.quiet && sign == LegendItem::kLineSign ? LegendItem::kCurveSign : sign, look(s),
           series.dashed, series.quiet ? kQuietWidth : 2});
    }
    for (size_t i = 0; i < chart_.references.size(); ++i) {
      has_data_ |= y_.shows(chart_.references[i].y);
      legend.push_back(legend_of(chart_.references[i], y_, chart_.series.size(), i));
    }
    if (!front_.empty()) {
      legend.push_back(
          {"Pareto front (filled)", roles::kText, LegendItem::kCurveSign, 0, false, 1.5});
    }
    const double head = draw_head(svg_, size_, chart_.title, legend);
    plot_.left = std::ceil(y_.widest_label()) + 12;
    plot_.right = size_.width - 14;
    plot_.top = head + kAxisTitleHeight + 10;
    double below = kTickLabelHeight;
    if (is_categorical()) {
      const double slot = plot_.width() / static_cast<double>(chart_.categories.size());
      category_labels_ = fit_categories(chart_.categories, slot);
      below = category_labels_.height;
    }
    size_.height += std::max(0.0, head - kUsualHead) + below - kTickLabelHeight;
    svg_.set_height(size_.height);
    plot_.bottom = size_.height - below - kAxisTitleHeight;
    y_.place(plot_.bottom, plot_.top);
    x_.place(plot_.left, plot_.right);
  }

  // Points in a row without a gap: [begin, end) pairs.
  template <class Shown>
  std::vector<std::pair<size_t, size_t>> runs(size_t s, Shown&& shown) const {
    std::vector<std::pair<size_t, size_t>> out;
    const size_t n = chart_.series[s].points.size();
    for (size_t i = 0; i < n; ++i) {
      if (!shown(PointIndex{s, i})) continue;
      const bool goes_on = !out.empty() && out.back().second == i;
      if (goes_on) {
        ++out.back().second;
      } else {
        out.push_back({i, i + 1});
      }
    }
    return out;
  }

  // The series whose band is filled: the first that has one.
  bool is_filled(size_t s) const {
    for (size_t other = 0; other <= s; ++other) {
      const Series& series = chart_.series[other];
      if (series.mark == Mark::kPoints || series.quiet) continue;
      const bool has_band =
          std::ranges::any_of(series.points, [&](const Point& p) { return has_interval(y_, p); });
      if (has_band) return other == s;
    }
    return false;
  }

  void draw_intervals(size_t s) {
    const Series& series = chart_.series[s];
    if (series.quiet) return;
    const auto shown = [&](PointIndex i) { return is_shown(i) && has_interval(y_, point(i)); };
    for (const auto& [begin, end] : runs(s, shown)) {
      // A band of one point has no width.
      if (series.mark == Mark::kPoints || end - begin == 1) {
        for (size_t i = begin; i < end; ++i) {
          draw_interval(svg_, y_, x_of({s, i}), series.points[i], role(s));
        }
        continue;
      }
      std::vector<XY> high, low;
      for (size_t i = begin; i < end; ++i) {
        high.push_back({x_of({s, i}), y_(series.points[i].high)});
        low.push_back({x_of({s, i}), y_(series.points[i].low)});
      }
      // Edges keep bands apart where they lie over each other; filled, all but one would be mud.
      const bool filled = is_filled(s);
      const Stroke edge{role(s), 1, false, filled ? 0.35 : 0.6};
      svg_.polyline(high, edge);
      svg_.polyline(low, edge);
      if (!filled) continue;
      std::vector<XY> outline = high;
      outline.insert(outline.end(), low.rbegin(), low.rend());
      svg_.polygon(outline, role(s), 0.12);
    }
  }

  void draw_lines(size_t s) {
    const Series& series = chart_.series[s];
    if (series.mark == Mark::kPoints) return;
    for (const auto& [begin, end] : runs(s, [&](PointIndex i) { return is_shown(i); })) {
      std::vector<XY> line;
      for (size_t i = begin; i < end; ++i) line.push_back(at({s, i}));
      svg_.polyline(line, {role(s), series.quiet ? kQuietWidth : 2, series.dashed});
    }
  }

  std::string tooltip(PointIndex i) const {
    const Point& p = point(i);
    std::string text = chart_.series[i.first].name;
    const auto add = [&](const std::string& line) {
      if (!line.empty()) text += (text.empty() ? "" : "\n") + line;
    };
    add(p.label);
    const std::string x_value = is_categorical() ? chart_.categories[i.second] : x_.describe(p.x);
    add(chart_.x.title.empty() ? x_value : chart_.x.title + ": " + x_value);
    const std::string y_value = describe(y_, p.y, p.low, p.high);
    add(chart_.y.title.empty() ? y_value : chart_.y.title + ": " + y_value);
    return text;
  }

  void draw_points(size_t s) {
    const Series& series = chart_.series[s];
    const size_t n = std::max<size_t>(series.points.size(), 1);
    // Where marks would run into each other the line alone is clearer; the tooltips stay.
    const bool crowded = series.quiet || plot_.width() / static_cast<double>(n) < 9;
    const bool is_points = series.mark == Mark::kPoints;
    const double radius = (is_points ? 5 : 4) - (size_.width < kNarrow ? 1 : 0);
    double last = -kNarrow;  // where the mark before stands
    for (const auto& [begin, end] : runs(s, [&](PointIndex i) { return is_shown(i); })) {
      for (size_t i = begin; i < end; ++i) {
        const PointIndex index{s, i};
        const bool has_room = std::abs(at(index).x - last) > 2 * radius;
        const bool marked = is_points || end - begin == 1 ||
                            (series.mark == Mark::kLine && !crowded && has_room) || on_front(index);
        const bool filled = !is_points || !chart_.pareto_front || on_front(index);
        svg_.open_group(tooltip(index));
        if (marked) svg_.marker(look(s), at(index), radius, role(s), filled);
        if (marked) last = at(index).x;
        svg_.hit_area(at(index), 7);
        svg_.close_group();
      }
    }
  }

  std::vector<PointIndex> shown_points() const {
    std::vector<PointIndex> all;
    for (size_t s = 0; s < chart_.series.size(); ++s) {
      for (size_t i = 0; i < chart_.series[s].points.size(); ++i) {
        if (is_shown({s, i})) all.push_back({s, i});
      }
    }
    return all;
  }

  // By rising x; each has a larger y than all before it.
  std::vector<PointIndex> find_front() const {
    std::vector<PointIndex> all = shown_points();
    std::stable_sort(all.begin(), all.end(), [&](PointIndex a, PointIndex b) {
      const Point &p = point(a), &q = point(b);
      return p.x != q.x ? p.x < q.x : p.y > q.y;
    });
    std::vector<PointIndex> front;
    for (const PointIndex& i : all) {
      if (front.empty() || point(i).y > point(front.back()).y) front.push_back(i);
    }
    return front;
  }

  std::vector<XY> front_steps() const {
    std::vector<XY> steps;
    for (const PointIndex& i : front_) {
      const XY next = at(i);
      if (!steps.empty()) steps.push_back({next.x, steps.back().y});
      steps.push_back(next);
    }
    // What the last point reaches is reached at every higher cost.
    if (!steps.empty()) steps.push_back({std::max(plot_.right, steps.back().x), steps.back().y});
    return steps;
  }

  void draw_labels() {
    LabelPlacer placer(plot_);
    std::vector<PointIndex> all = shown_points();
    for (const PointIndex& i : all) placer.keep_free(at(i), 5);
    const std::vector<XY> steps = front_steps();
    for (size_t i = 1; i < steps.size(); ++i) placer.keep_free(steps[i - 1], steps[i]);
    // The front's labels matter most, so they choose first.
    std::stable_partition(all.begin(), all.end(), [&](PointIndex i) { return on_front(i); });
    for (const PointIndex& i : all) {
      if (chart_.series[i.first].mark != Mark::kPoints || point(i).label.empty()) continue;
      const auto place = placer.place(at(i), 5, point(i).label, 11);
      if (!place) continue;
      svg_.text(place->at, point(i).label, {.size = 11, .anchor = place->anchor, .halo = true});
    }
  }

  const XyChart& chart_;
  FigureSize size_;
  Svg svg_;
  AxisScale y_, x_;
  PlotArea plot_{};
  CategoryLabels category_labels_;
  std::vector<PointIndex> front_;
  bool has_data_ = false;
};

}  // namespace

std::string render_xy(const XyChart& chart, FigureSize size, SvgUse use) {
  return XyFigure(chart, size, use).render();
}

}  // namespace fathom
