// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "report/figure_forms.h"
#include "report/frame.h"
#include "report/number.h"
#include "report/text.h"

namespace fathom {
namespace {

constexpr double kRowHeight = 28;
constexpr size_t kNameColumns = 24;  // longer row names are cut
constexpr double kScaleStep = 14;    // width of one colour in the legend

// Lowest and highest of what a colour scale spans.
struct Span {
  double low = kMissing, high = kMissing;

  void cover(double v) {
    if (!std::isfinite(v)) return;
    low = std::isnan(low) ? v : std::min(low, v);
    high = std::isnan(high) ? v : std::max(high, v);
  }
};

class HeatFigure {
 public:
  HeatFigure(const HeatMap& chart, double width, SvgUse use) : chart_(chart) {
    FATHOM_ASSERT(chart.values.size() == chart.rows.size());
    for (const auto& row : chart.values) FATHOM_ASSERT(row.size() == chart.columns.size());
    lay_out(width);
    svg_.emplace(size_.width, size_.height, chart.title, use);
    find_spans();
  }

  std::string render() {
    const double head = draw_head(*svg_, size_, chart_.title, {});
    draw_scale(head + 18);
    draw_names();
    for (size_t r = 0; r < chart_.rows.size(); ++r) {
      for (size_t c = 0; c < chart_.columns.size(); ++c) draw_cell(r, c);
    }
    if (chart_.rows.empty() || chart_.columns.empty()) draw_no_data(*svg_, plot_);
    return svg_->str();
  }

 private:
  void lay_out(double width) {
    double name = text_width(chart_.row_title, 12);
    for (const std::string& row : chart_.rows) {
      name = std::max(name, text_width(shorten(row, kNameColumns), 12));
    }
    plot_.left = std::min(name + 12, width * 0.4);
    plot_.right = width;
    const double n_column = static_cast<double>(std::max<size_t>(chart_.columns.size(), 1));
    const double widest = std::max(96.0, text_width("0.", 12) + 7.0 * chart_.digits + 40);
    cell_ = std::min(plot_.width() / n_column, widest);
    labels_ = fit_categories(chart_.columns, cell_);
    if (labels_.turned) cell_ = std::min(cell_, (plot_.width() - overhang()) / n_column);
    plot_.right = plot_.left + cell_ * n_column;
    // Head: as draw_head sets it, for an empty legend, then the scale and the column names.
    Svg measure(width, 10, "", SvgUse::kPage);
    const double head = draw_head(measure, {width, 10}, chart_.title, {});
    const double column_title = chart_.column_title.empty() ? 0 : 20;
    plot_.top = head + 36 + column_title + (labels_.turned ? labels_.height : 20);
    const double n_row = static_cast<double>(std::max<size_t>(chart_.rows.size(), 1));
    plot_.bottom = plot_.top + kRowHeight * n_row;
    size_ = {width, plot_.bottom + 6};
  }

  // How far the turned name of the last column reaches beyond its middle, less half a cell.
  double overhang() const {
    const double length = text_width(shorten(chart_.columns.back(), kTurnedColumns), 12);
    return std::max(0.0, length * std::cos(kTurnedAngle * M_PI / 180) - cell_ / 2);
  }

  void find_spans() {
    spans_.assign(chart_.columns.size(), {});
    for (const auto& row : chart_.values) {
      for (size_t c = 0; c < row.size(); ++c) {
        spans_[c].cover(row[c]);
        whole_.cover(row[c]);
      }
    }
  }

  double share(double value, const Span& span) const {
    if (chart_.centre) {
      const double low = std::abs(span.low / 2 - *chart_.centre / 2);
      const double high = std::abs(span.high / 2 - *chart_.centre / 2);
      const double reach = std::max(low, high);
      return reach > 0 ? 0.5 + (value / 2 - *chart_.centre / 2) / reach / 2 : 0.5;
    }
    const double range = span.high / 2 - span.low / 2;
    return range > 0 ? (value / 2 - span.low / 2) / range : 0.5;
  }

  void draw_scale(double y) {
    double x = 0;
    const auto label = [&](const std::string& text) {
      svg_->text({x, y + 4}, text, {.role = roles::kMuted});
      x += text_width(text, 12) + 8;
    };
    if (!chart_.value_title.empty()) label(chart_.value_title);
    Span ends = whole_;
    if (chart_.centre && std::isfinite(whole_.low)) {
      const double reach =
          std::max(std::abs(whole_.low - *chart_.centre), std::abs(whole_.high - *chart_.centre));
      ends = {*chart_.centre - reach, *chart_.centre + reach};
    }
    const bool numbers = !chart_.by_column && std::isfinite(ends.low);
    label(numbers ? format_number(ends.low, fixed(chart_.digits)) : "lowest");
    for (size_t level = 0; level < roles::kLevels; ++level) {
      const double share = static_cast<double>(level) / (roles::kLevels - 1);
      svg_->rect({x, y - 6}, kScaleStep + 0.3, 12,
                 heat_roles(share, chart_.centre.has_value()).ground);
      x += kScaleStep;
    }
    x += 8;
    label(numbers ? format_number(ends.high, fixed(chart_.digits)) : "highest");
    if (chart_.by_column) label("of its column");
  }

  void draw_names() {
    if (!chart_.column_title.empty()) {
      const double above = labels_.turned ? labels_.height : 20;
      svg_->text({(plot_.left + plot_.right) / 2, plot_.top - above - 6}, chart_.column_title,
                 {.role = roles::kMuted, .anchor = "middle"});
    }
    svg_->text({0, plot_.top - 8}, chart_.row_title, {.role = roles::kMuted});
    for (const size_t c : labels_.shown) {
      const double x = category_x(plot_, c, chart_.columns.size());
      if (labels_.turned) {
        svg_->text({x, plot_.top - 8}, shorten(chart_.columns[c], kTurnedColumns),
                   {.rotate = kTurnedAngle});
      } else {
        svg_->text({x, plot_.top - 8}, chart_.columns[c], {.anchor = "middle"});
      }
    }
    for (size_t r = 0; r < chart_.rows.size(); ++r) {
      const std::string name = fit_text(shorten(chart_.rows[r], kNameColumns), plot_.left - 10, 12);
      svg_->text({plot_.left - 10, row_top(r) + kRowHeight / 2 + 4}, name, {.anchor = "end"});
    }
  }

  double row_top(size_t r) const { return plot_.top + kRowHeight * static_cast<double>(r); }

  void draw_cell(size_t r, size_t c) {
    const double value = chart_.values[r][c];
    const bool missing = !std::isfinite(value);
    const XY corner{plot_.left + cell_ * static_cast<double>(c) + 1, row_top(r) + 1};
    const std::string text = missing ? "" : format_number(value, fixed(chart_.digits));
    svg_->open_group(chart_.rows[r] + ", " + chart_.columns[c] + ": " +
                     (missing ? "missing" : text));
    const Span& span = chart_.by_column ? spans_[c] : whole_;
    const HeatRoles roles = missing ? HeatRoles{roles::kGrid, roles::kMuted}
                                    : heat_roles(share(value, span), chart_.centre.has_value());
    svg_->rect(corner, cell_ - 2, kRowHeight - 2, roles.ground, 2, missing ? 0.5 : 1);
    const std::string written = missing ? "\u2013" : text;
    if (text_width(written, 11) + 4 <= cell_) {
      svg_->text({corner.x + cell_ / 2 - 1, corner.y + kRowHeight / 2 + 3}, written,
                 {.size = 11, .role = roles.text, .anchor = "middle"});
    }
    svg_->close_group();
  }

  const HeatMap& chart_;
  FigureSize size_{};
  PlotArea plot_{};
  double cell_ = 0;  // width
  CategoryLabels labels_;
  Span whole_;
  std::vector<Span> spans_;  // per column
  std::optional<Svg> svg_;
};

}  // namespace

std::string render_heat_map(const HeatMap& chart, double width, SvgUse use) {
  return HeatFigure(chart, width, use).render();
}

}  // namespace fathom
