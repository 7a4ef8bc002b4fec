// SPDX-License-Identifier: Apache-2.0
#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/error.h"
#include "report/text.h"

namespace fathom {
namespace {

constexpr double kMargin = 16;  // of a file; a page sets its own

constexpr std::string_view kFontFamily =
    "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";

// Two decimals at most, without trailing zeros.
std::string px(double v) {
  FATHOM_ASSERT(std::isfinite(v));
  std::string text = fmt::format("{:.2f}", v);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string path_of(const std::vector<XY>& points) {
  std::string d;
  for (const XY p : points) d += fmt::format("{}{} {}", d.empty() ? "M" : "L", px(p.x), px(p.y));
  return d;
}

// Corners of marker `shape` for radius 1, all of about the same area; empty: a circle.
std::vector<XY> marker_corners(size_t shape) {
  switch (shape % roles::kSeries) {
    case 0:
      return {};
    case 1:
      return {{-.88, -.88}, {.88, -.88}, {.88, .88}, {-.88, .88}};
    case 2:
      return {{0, -1.2}, {1.04, .8}, {-1.04, .8}};
    case 3:
      return {{0, -1.28}, {1.28, 0}, {0, 1.28}, {-1.28, 0}};
    case 4:
      return {{0, 1.2}, {1.04, -.8}, {-1.04, -.8}};
    case 5:
      return {{-.4, -1.2}, {.4, -1.2}, {.4, -.4}, {1.2, -.4}, {1.2, .4},   {.4, .4},
              {.4, 1.2},   {-.4, 1.2}, {-.4, .4}, {-1.2, .4}, {-1.2, -.4}, {-.4, -.4}};
    case 6:
      return {{0, -1.2}, {1.14, -.37}, {.71, .97}, {-.71, .97}, {-1.14, -.37}};
    default:
      return {{-.6, -1.04}, {.6, -1.04}, {1.2, 0}, {.6, 1.04}, {-.6, 1.04}, {-1.2, 0}};
  }
}

}  // namespace

Svg::Svg(double width, double height, std::string_view title, SvgUse use)
    : width_(width), height_(height), title_(title), use_(use), used_{roles::kPaper} {}

std::string Svg::fill(Role role) {
  if (std::find(used_.begin(), used_.end(), role) == used_.end()) used_.push_back(role);
  return fmt::format("class=\"f-{}\" fill=\"{}\"", colours(role).key, colours(role).light);
}

std::string Svg::stroke(const Stroke& stroke) {
  if (std::find(used_.begin(), used_.end(), stroke.role) == used_.end()) {
    used_.push_back(stroke.role);
  }
  std::string out =
      fmt::format("class=\"s-{}\" stroke=\"{}\" stroke-width=\"{}\"", colours(stroke.role).key,
                  colours(stroke.role).light, px(stroke.width));
  if (stroke.dashed) out += " stroke-dasharray=\"6 4\"";
  if (stroke.opacity != 1) out += fmt::format(" stroke-opacity=\"{}\"", px(stroke.opacity));
  return out;
}

void Svg::line(XY from, XY to, const Stroke& style) {
  body_ += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {}/>\n", px(from.x),
                       px(from.y), px(to.x), px(to.y), stroke(style));
}

void Svg::polyline(const std::vector<XY>& points, const Stroke& style) {
  if (points.size() < 2) return;
  body_ += fmt::format("<path d=\"{}\" fill=\"none\" stroke-linejoin=\"round\" {}/>\n",
                       path_of(points), stroke(style));
}

void Svg::polygon(const std::vector<XY>& points, Role role, double opacity) {
  if (points.size() < 3) return;
  body_ += fmt::format("<path d=\"{}Z\" fill-opacity=\"{}\" {}/>\n", path_of(points), px(opacity),
                       fill(role));
}

void Svg::rect(XY corner, double width, double height, Role role, double radius, double opacity) {
  body_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", px(corner.x),
                       px(corner.y), px(width), px(height));
  if (radius > 0) body_ += fmt::format(" rx=\"{}\"", px(radius));
  if (opacity != 1) body_ += fmt::format(" fill-opacity=\"{}\"", px(opacity));
  body_ += fmt::format(" {}/>\n", fill(role));
}

void Svg::marker(size_t shape, XY centre, double radius, Role role, bool filled) {
  // The mark's edge is paper where it is filled, so that it stands off the line it sits on.
  const Role inside = filled ? role : roles::kPaper, edge = filled ? roles::kPaper : role;
  fill(inside);
  stroke({.role = edge});
  const std::string paint = fmt::format(
      "class=\"f-{} s-{}\" fill=\"{}\" stroke=\"{}\" stroke-width=\"{}\"", colours(inside).key,
      colours(edge).key, colours(inside).light, colours(edge).light, filled ? "1.25" : "1.75");
  const std::vector<XY> corners = marker_corners(shape);
  if (corners.empty()) {
    body_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {}/>\n", px(centre.x), px(centre.y),
                         px(radius), paint);
    return;
  }
  std::vector<XY> placed;
  std::transform(corners.begin(), corners.end(), std::back_inserter(placed), [&](XY c) {
    return XY{centre.x + radius * c.x, centre.y + radius * c.y};
  });
  body_ += fmt::format("<path d=\"{}Z\" {}/>\n", path_of(placed), paint);
}

void Svg::text(XY at, std::string_view text, const TextStyle& style) {
  body_ += fmt::format("<text x=\"{}\" y=\"{}\"", px(at.x), px(at.y));
  if (style.size != 12) body_ += fmt::format(" font-size=\"{}\"", px(style.size));
  if (std::string_view(style.anchor) != "start") {
    body_ += fmt::format(" text-anchor=\"{}\"", style.anchor);
  }
  if (style.bold) body_ += " font-weight=\"600\"";
  if (style.rotate != 0) {
    body_ += fmt::format(" transform=\"rotate({} {} {})\"", px(style.rotate), px(at.x), px(at.y));
  }
  if (style.halo) {
    fill(style.role);
    stroke({.role = roles::kPaper});
    const RoleColours &ink = colours(style.role), &paper = colours(roles::kPaper);
    body_ += fmt::format(
        " paint-order=\"stroke\" stroke-width=\"3\" stroke-linejoin=\"round\" "
        "class=\"f-{} s-{}\" fill=\"{}\" stroke=\"{}\"",
        ink.key, paper.key, ink.light, paper.light);
  } else {
    body_.append(" ").append(fill(style.role));
  }
  body_ += fmt::format(">{}</text>\n", escape_xml(text));
}

void Svg::open_group(std::string_view tooltip) {
  body_ += fmt::format("<g><title>{}</title>\n", escape_xml(tooltip));
}

void Svg::hit_area(XY centre, double radius) {
  body_ +=
      fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"none\" pointer-events=\"all\"/>\n",
                  px(centre.x), px(centre.y), px(radius));
}

void Svg::close_group() { body_ += "</g>\n"; }

std::string Svg::str() const {
  // A page stretches its figures; a file has a size of its own.
  const bool stand_alone = use_ == SvgUse::kStandAlone;
  const double margin = stand_alone ? kMargin : 0;
  const std::string width = px(width_ + 2 * margin), height = px(height_ + 2 * margin);
  std::string out = stand_alone ? "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" : "";
  out += fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fig\" viewBox=\"{0} {0} {1} {2}\" {3} "
      "role=\"img\" aria-label=\"{4}\" font-family=\"{5}\" font-size=\"12\">\n",
      px(-margin), width, height,
      stand_alone ? fmt::format("width=\"{}\" height=\"{}\"", width, height) : "width=\"100%\"",
      escape_xml(title_), kFontFamily);
  if (stand_alone) {
    const RoleColours& paper = colours(roles::kPaper);
    out += fmt::format(
        "<title>{}</title>\n<style>\n{}</style>\n"
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"f-{}\" fill=\"{}\"/>\n",
        escape_xml(title_), file_figure_css(used_), px(-margin), px(-margin), width, height,
        paper.key, paper.light);
  }
  return out + body_ + "</svg>\n";
}

}  // namespace fathom
