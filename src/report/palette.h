// SPDX-License-Identifier: Apache-2.0
// The colours of the figures, by role. Each role has a colour for light and one for dark ground;
// the series colours follow Okabe and Ito's palette ("Color Universal Design", 2008), shifted where
// a colour is too faint on its ground, so that they differ for colour-blind readers too.
//
// A figure writes both: class="f-0" for the style sheet (fill: var(--fig-0), light or dark) and
// fill="#0072b2" for programs that read no style sheet. Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace fathom {

struct Role {
  uint8_t index = 0;
  friend bool operator==(Role, Role) = default;
};

namespace roles {
constexpr Role kText{0}, kMuted{1}, kGrid{2}, kAxis{3}, kPaper{4};
constexpr size_t kFirstSeries = 5, kSeries = 8;
constexpr size_t kFirstHeat = kFirstSeries + kSeries, kLevels = 11;
constexpr size_t kCount = kFirstHeat + 4 * kLevels;
}  // namespace roles

// Series n takes colour n modulo 8; kNeutral, of what is no system (a line at zero), none of them.
constexpr size_t kNeutral = static_cast<size_t>(-1);
Role series_role(size_t n);

// Ground and text of a heat map's cell; share in [0, 1]: 0 lowest, 1 highest, and for a diverging
// scale 0.5 neutral.
struct HeatRoles {
  Role ground, text;
};
HeatRoles heat_roles(double share, bool diverging);

struct RoleColours {
  std::string key;  // "text", "0", "h7": of the class and the custom property
  std::string light, dark;
};
const RoleColours& colours(Role role);

// For a page: the custom properties for light and dark ground on :root, and the classes f-<key>
// (fill) and s-<key> (stroke) inside .fig.
std::string page_figure_css();

// For a file: the dark colours alone. Its attributes hold the light ones, and programs that know
// neither custom properties nor media queries show those.
std::string file_figure_css(std::span<const Role> used);

}  // namespace fathom
