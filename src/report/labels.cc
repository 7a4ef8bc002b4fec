// SPDX-License-Identifier: Apache-2.0
#include "report/labels.h"

#include <algorithm>

#include "report/text.h"

namespace fathom {
namespace {

constexpr double kAway = 4;  // from a label to its mark

}  // namespace

void LabelPlacer::keep_free(XY centre, double radius) { marks_.push_back({centre, radius}); }

void LabelPlacer::keep_free(XY from, XY to) {
  taken_.push_back({std::min(from.x, to.x) - 1, std::min(from.y, to.y) - 1,
                    std::max(from.x, to.x) + 1, std::max(from.y, to.y) + 1});
}

bool LabelPlacer::is_free(const Box& box, XY own_mark) const {
  if (box.left < plot_.left || box.right > plot_.right || box.top < plot_.top ||
      box.bottom > plot_.bottom) {
    return false;
  }
  const auto covers = [&](const Box& other) {
    return box.left < other.right && other.left < box.right && box.top < other.bottom &&
           other.top < box.bottom;
  };
  const auto crowds = [&](const Disc& mark) {
    const bool is_own = mark.centre.x == own_mark.x && mark.centre.y == own_mark.y;
    const double reach = mark.radius + (is_own ? 0 : kAway);
    return covers({mark.centre.x - reach, mark.centre.y - reach, mark.centre.x + reach,
                   mark.centre.y + reach});
  };
  return std::none_of(taken_.begin(), taken_.end(), covers) &&
         std::none_of(marks_.begin(), marks_.end(), crowds);
}

std::optional<LabelPlacer::Place> LabelPlacer::place(XY centre, double radius,
                                                     const std::string& text, double font_size) {
  const double width = text_width(text, font_size), away = radius + kAway;
  const double rise = font_size * 0.75, drop = font_size * 0.25;  // above and below the baseline
  const double above = centre.y - away - drop, below = centre.y + away + rise;
  const double level = centre.y + font_size * 0.35;
  const Place candidates[] = {
      {{centre.x + away, level}, "start"}, {{centre.x, above}, "middle"},
      {{centre.x, below}, "middle"},       {{centre.x - away, level}, "end"},
      {{centre.x + 3, above}, "start"},    {{centre.x + 3, below}, "start"},
      {{centre.x - 3, above}, "end"},      {{centre.x - 3, below}, "end"},
  };
  for (const Place& candidate : candidates) {
    const double share = candidate.anchor[0] == 's' ? 0 : candidate.anchor[0] == 'm' ? 0.5 : 1;
    const double left = candidate.at.x - share * width;
    const Box box{left, candidate.at.y - rise, left + width, candidate.at.y + drop};
    if (!is_free(box, centre)) continue;
    taken_.push_back(box);
    return candidate;
  }
  return std::nullopt;
}

}  // namespace fathom
