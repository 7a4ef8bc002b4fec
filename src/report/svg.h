// SPDX-License-Identifier: Apache-2.0
// Svg: writes one SVG drawing. Colours are roles of palette.h, text is escaped here, and a
// coordinate that is not finite is a bug (it would draw nothing and say nothing).
// One thread at a time.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/palette.h"

namespace fathom {

enum class SvgUse {
  kPage,        // inside a page that holds figure_css: no style of its own
  kStandAlone,  // a file: with style sheet, ground and document title
};

struct Stroke {
  Role role;
  double width = 1;
  bool dashed = false;
  double opacity = 1;
};

struct TextStyle {
  double size = 12;
  Role role = roles::kText;
  const char* anchor = "start";  // "start", "middle" or "end" of the text stands at x
  bool bold = false;
  bool halo = false;  // an edge in the colour of the paper, to stay readable on lines
  double rotate = 0;  // degrees, clockwise, around (x, y)
};

struct XY {
  double x, y;
};

class Svg {
 public:
  // Sizes in user units: pixels where the drawing is shown at its own size. `title` names the
  // drawing for a screen reader.
  Svg(double width, double height, std::string_view title, SvgUse use);
  void set_height(double height) { height_ = height; }

  void line(XY from, XY to, const Stroke& stroke);
  void polyline(const std::vector<XY>& points, const Stroke& stroke);
  void polygon(const std::vector<XY>& points, Role fill, double opacity);
  // radius rounds the corners.
  void rect(XY corner, double width, double height, Role fill, double radius = 0,
            double opacity = 1);
  // Shape n modulo 8: the same order as the colours, so that a series is told by both.
  void marker(size_t shape, XY centre, double radius, Role role, bool filled = true);
  void text(XY at, std::string_view text, const TextStyle& style);

  // What is drawn until close_group shows `tooltip` (lines split by \n) under the pointer.
  void open_group(std::string_view tooltip);
  // An invisible disc that makes a small mark easy to point at.
  void hit_area(XY centre, double radius);
  void close_group();

  std::string str() const;

 private:
  std::string fill(Role role);
  std::string stroke(const Stroke& stroke);

  double width_, height_;
  std::string title_;
  SvgUse use_;
  std::string body_;
  std::vector<Role> used_;
};

}  // namespace fathom
