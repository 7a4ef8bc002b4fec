// SPDX-License-Identifier: Apache-2.0
// LabelPlacer: finds room for text beside points. Internal to the figures. One thread at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/frame.h"

namespace fathom {

class LabelPlacer {
 public:
  explicit LabelPlacer(const PlotArea& plot) : plot_(plot) {}

  // A mark that labels must not cover, nor come as close to as to their own.
  void keep_free(XY centre, double radius);
  // A horizontal or vertical line that labels must not cover.
  void keep_free(XY from, XY to);

  struct Place {
    XY at;  // for an SVG text with this anchor
    const char* anchor;
  };
  // The first of eight places around the mark at `centre` where the text covers no mark, line or
  // earlier label and stays in the plot; none: the caller leaves the label out (the tooltip has
  // it).
  std::optional<Place> place(XY centre, double radius, const std::string& text, double font_size);

 private:
  struct Box {
    double left, top, right, bottom;
  };
  struct Disc {
    XY centre;
    double radius;
  };
  bool is_free(const Box& box, XY own_mark) const;

  PlotArea plot_;
  std::vector<Box> taken_;
  std::vector<Disc> marks_;
};

}  // namespace fathom
