// SPDX-License-Identifier: Apache-2.0
#include "report/palette.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fathom {
namespace {

struct Rgb {
  double r, g, b;
};

Rgb parse(std::string_view hex) {
  const auto part = [&](size_t at) {
    return static_cast<double>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16));
  };
  return {part(1), part(3), part(5)};
}

std::string hex(Rgb c) {
  return fmt::format("#{:02x}{:02x}{:02x}", std::lround(c.r), std::lround(c.g), std::lround(c.b));
}

using Stops = std::array<std::string_view, 3>;

Rgb mix(const Stops& stops, double share) {
  const size_t first = share < 0.5 ? 0 : 1;
  const Rgb a = parse(stops[first]), b = parse(stops[first + 1]);
  const double t = share * 2 - static_cast<double>(first);
  return {a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)};
}

// WCAG relative luminance.
double luminance(Rgb c) {
  const auto linear = [](double v) {
    v /= 255;
    return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(c.r) + 0.7152 * linear(c.g) + 0.0722 * linear(c.b);
}

std::string text_on(Rgb ground) {
  // 0.18 is where black and white text have the same contrast.
  return luminance(ground) > 0.18 ? "#14181f" : "#ffffff";
}

constexpr Stops kHeatLight = {"#eef4fa", "#86b5de", "#0b4a8c"};
constexpr Stops kHeatDark = {"#1b2530", "#2f6ea8", "#b5dcff"};
constexpr Stops kDivergingLight = {"#b34a00", "#f4f4f2", "#0b5a9c"};
constexpr Stops kDivergingDark = {"#ff9a57", "#2a3039", "#6fb9f5"};

std::vector<RoleColours> all_roles() {
  std::vector<RoleColours> all = {
      {"text", "#1f2328", "#e6e9ee"},  {"muted", "#5c6470", "#9ba5b4"},
      {"grid", "#e4e7eb", "#2a313b"},  {"axis", "#8a929e", "#6b7686"},
      {"paper", "#ffffff", "#161b22"}, {"0", "#0072b2", "#56b4e9"},
      {"1", "#d55e00", "#ff9248"},     {"2", "#009e73", "#2cc295"},
      {"3", "#b4508b", "#e39ac6"},     {"4", "#b87a00", "#f2b53a"},
      {"5", "#3a9bd9", "#1c86d1"},     {"6", "#6b6f76", "#b3bbc6"},
      {"7", "#7d5a3c", "#f0e442"},
  };
  const auto add_scale = [&](std::string_view name, const Stops& light, const Stops& dark) {
    for (const bool text : {false, true}) {
      for (size_t level = 0; level < roles::kLevels; ++level) {
        const double share = static_cast<double>(level) / (roles::kLevels - 1);
        const Rgb on_light = mix(light, share), on_dark = mix(dark, share);
        all.push_back({fmt::format("{}{}{}", name, text ? "t" : "", level),
                       text ? text_on(on_light) : hex(on_light),
                       text ? text_on(on_dark) : hex(on_dark)});
      }
    }
  };
  add_scale("h", kHeatLight, kHeatDark);
  add_scale("d", kDivergingLight, kDivergingDark);
  FATHOM_ASSERT(all.size() == roles::kCount);
  return all;
}

}  // namespace

Role series_role(size_t n) {
  if (n == kNeutral) return roles::kMuted;
  return {static_cast<uint8_t>(roles::kFirstSeries + n % roles::kSeries)};
}

HeatRoles heat_roles(double share, bool diverging) {
  const double clamped = std::clamp(share, 0.0, 1.0);
  const size_t level = static_cast<size_t>(std::lround(clamped * (roles::kLevels - 1)));
  const size_t ground = roles::kFirstHeat + (diverging ? 2 * roles::kLevels : 0) + level;
  return {{static_cast<uint8_t>(ground)}, {static_cast<uint8_t>(ground + roles::kLevels)}};
}

const RoleColours& colours(Role role) {
  static const std::vector<RoleColours> all = all_roles();
  return all[role.index];
}

std::string page_figure_css() {
  std::string light, dark, classes;
  for (size_t i = 0; i < roles::kCount; ++i) {
    const RoleColours& c = colours({static_cast<uint8_t>(i)});
    light += fmt::format("--fig-{}:{};", c.key, c.light);
    dark += fmt::format("--fig-{}:{};", c.key, c.dark);
    classes += fmt::format(
        ".fig .f-{0}{{fill:var(--fig-{0})}}.fig .s-{0}{{stroke:var(--fig-{0})}}\n", c.key);
  }
  return fmt::format(
      ":root{{{}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}\n{}", light, dark,
      classes);
}

std::string file_figure_css(std::span<const Role> used) {
  std::string dark;
  for (const Role role : used) {
    const RoleColours& c = colours(role);
    dark += fmt::format(".f-{0}{{fill:{1}}}.s-{0}{{stroke:{1}}}\n", c.key, c.dark);
  }
  return fmt::format("@media screen and (prefers-color-scheme:dark){{\n{}}}\n", dark);
}

}  // namespace fathom
