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
constexpr double kLeastTitle = 40;   // a legend's title is left out where it has less room
constexpr double kCellFont = 11;
constexpr size_t kMostBlocks = 8;  // one below the other; more columns than these hold lose numbers

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
    for (const Block& block : blocks_) {
      draw_names(block);
      for (size_t r = 0; r < chart_.rows.size(); ++r)
        for (size_t c = block.begin; c < block.end; ++c) draw_cell(block, r, c);
    }
    if (chart_.rows.empty() || chart_.columns.empty()) draw_no_data(*svg_, blocks_.front().plot);
    return svg_->str();
  }

 private:
  // Columns that stand beside each other.
  struct Block {
    size_t begin = 0, end = 0;
    CategoryLabels labels = {};
    PlotArea plot = {};
    size_t size() const { return end - begin; }
  };

  std::vector<std::string> names_of(const Block& block) const {
    return {chart_.columns.begin() + static_cast<ptrdiff_t>(block.begin),
            chart_.columns.begin() + static_cast<ptrdiff_t>(block.end)};
  }

  std::string written(double value) const {
    return std::isfinite(value) ? format_number(value, fixed(chart_.digits)) : "\u2013";
  }

  // Width of a cell that has room for every number.
  double needed_cell() const {
    double widest = 0;
    for (const auto& row : chart_.values)
      for (const double v : row) widest = std::max(widest, text_width(written(v), kCellFont));
    return widest + 5;
  }

  // Columns cut into n blocks of about one size; sets the width of a cell.
  void cut(size_t n, double room) {
    const double widest = std::max(96.0, text_width("0.", 12) + 7.0 * chart_.digits + 40);
    const size_t n_column = chart_.columns.size();
    const size_t per_block = std::max<size_t>((n_column + n - 1) / n, 1);
    const double n_cell = static_cast<double>(per_block);
    cell_ = std::min(room / n_cell, widest);
    blocks_.clear();
    for (size_t begin = 0; begin < std::max<size_t>(n_column, 1); begin += per_block) {
      Block block{begin, std::min(begin + per_block, n_column)};
      block.labels = fit_categories(names_of(block), cell_);
      blocks_.push_back(std::move(block));
    }
    double overhang = 0;
    for (const Block& block : blocks_)
      if (block.labels.turned) overhang = std::max(overhang, overhang_of(block));
    if (overhang > 0) cell_ = std::min(cell_, (room - overhang) / n_cell);
  }

  void lay_out(double width) {
    double name = text_width(chart_.row_title, 12);
    for (const std::string& row : chart_.rows) {
      name = std::max(name, text_width(shorten(row, kNameColumns), 12));
    }
    const double left = std::min(name + 12, width * 0.4), needed = needed_cell();
    size_t n = 1;
    for (cut(n, width - left); cell_ < needed && n < kMostBlocks; cut(n, width - left)) ++n;
    if (cell_ < needed) cut(1, width - left);
    // Head: as draw_head sets it, for an empty legend, then the scale and the column names.
    Svg measure(width, 10, "", SvgUse::kPage);
    double top = draw_head(measure, {width, 10}, chart_.title, {}) + 36;
    for (Block& block : blocks_) {
      top +=
          (chart_.column_title.empty() ? 0 : 20) + (block.labels.turned ? block.labels.height : 20);
      const double right = left + cell_ * static_cast<double>(std::max<size_t>(block.size(), 1));
      const double n_row = static_cast<double>(std::max<size_t>(chart_.rows.size(), 1));
      block.plot = {left, top, right, top + kRowHeight * n_row};
      top = block.plot.bottom + 6;
    }
    size_ = {width, top};
  }

  // How far the turned name of the last column reaches beyond its middle, less half a cell.
  double overhang_of(const Block& block) const {
    if (block.size() == 0) return 0;
    const double length = text_width(shorten(chart_.columns[block.end - 1], kTurnedColumns), 12);
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
    Span ends = whole_;
    if (chart_.centre && std::isfinite(whole_.low)) {
      const double reach =
          std::max(std::abs(whole_.low - *chart_.centre), std::abs(whole_.high - *chart_.centre));
      ends = {*chart_.centre - reach, *chart_.centre + reach};
    }
    const bool numbers = !chart_.by_column && std::isfinite(ends.low);
    const std::string low = numbers ? format_number(ends.low, fixed(chart_.digits)) : "lowest",
                      high = numbers ? format_number(ends.high, fixed(chart_.digits)) : "highest",
                      of = chart_.by_column ? "of its column" : "";
    // What has no room is cut from the title, which the caption has, too.
    double needed = text_width(low, 12) + 16 + kScaleStep * roles::kLevels + text_width(high, 12);
    if (!of.empty()) needed += 8 + text_width(of, 12);
    if (!chart_.value_title.empty() && size_.width - needed > kLeastTitle)
      label(fit_text(chart_.value_title, size_.width - needed - 8, 12));
    label(low);
    for (size_t level = 0; level < roles::kLevels; ++level) {
      const double share = static_cast<double>(level) / (roles::kLevels - 1);
      svg_->rect({x, y - 6}, kScaleStep + 0.3, 12,
                 heat_roles(share, chart_.centre.has_value()).ground);
      x += kScaleStep;
    }
    x += 8;
    label(high);
    if (!of.empty()) label(of);
  }

  void draw_names(const Block& block) {
    const PlotArea& plot = block.plot;
    if (!chart_.column_title.empty()) {
      const double above = block.labels.turned ? block.labels.height : 20;
      svg_->text({(plot.left + plot.right) / 2, plot.top - above - 6}, chart_.column_title,
                 {.role = roles::kMuted, .anchor = "middle"});
    }
    svg_->text({0, plot.top - 8}, fit_text(chart_.row_title, plot.left - 10, 12),
               {.role = roles::kMuted});
    for (const size_t c : block.labels.shown) {
      const double x = category_x(plot, c, block.size());
      const std::string& name = chart_.columns[block.begin + c];
      if (block.labels.turned) {
        svg_->text({x, plot.top - 8}, shorten(name, kTurnedColumns), {.rotate = kTurnedAngle});
      } else {
        svg_->text({x, plot.top - 8}, name, {.anchor = "middle"});
      }
    }
    for (size_t r = 0; r < chart_.rows.size(); ++r) {
      const std::string name = fit_text(shorten(chart_.rows[r], kNameColumns), plot.left - 10, 12);
      svg_->text({plot.left - 10, row_top(block, r) + kRowHeight / 2 + 4}, name, {.anchor = "end"});
    }
  }

  double row_top(const Block& block, size_t r) const {
    return block.plot.top + kRowHeight * static_cast<double>(r);
  }

  void draw_cell(const Block& block, size_t r, size_t c) {
    const double value = chart_.values[r][c];
    const bool missing = !std::isfinite(value);
    const XY corner{block.plot.left + cell_ * static_cast<double>(c - block.begin) + 1,
                    row_top(block, r) + 1};
    const std::string text = written(value);
    svg_->open_group(chart_.rows[r] + ", " + chart_.columns[c] + ": " +
                     (missing ? "missing" : text));
    const Span& span = chart_.by_column ? spans_[c] : whole_;
    const HeatRoles roles = missing ? HeatRoles{roles::kGrid, roles::kMuted}
                                    : heat_roles(share(value, span), chart_.centre.has_value());
    svg_->rect(corner, cell_ - 2, kRowHeight - 2, roles.ground, 2, missing ? 0.5 : 1);
    if (text_width(text, kCellFont) + 4 <= cell_) {
      svg_->text({corner.x + cell_ / 2 - 1, corner.y + kRowHeight / 2 + 3}, text,
                 {.size = kCellFont, .role = roles.text, .anchor = "middle"});
    }
    svg_->close_group();
  }

  const HeatMap& chart_;
  FigureSize size_{};
  double cell_ = 0;  // width
  std::vector<Block> blocks_;
  Span whole_;
  std::vector<Span> spans_;  // per column
  std::optional<Svg> svg_;
};

}  // namespace

std::string render_heat_map(const HeatMap& chart, double width, SvgUse use) {
  return HeatFigure(chart, width, use).render();
}

}  // namespace fathom
