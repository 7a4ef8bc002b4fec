// SPDX-License-Identifier: Apache-2.0
// The three chart forms behind render(). Internal to the figures. Pure functions; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "report/figure.h"

namespace fathom {

std::string render_xy(const XyChart& chart, FigureSize size, SvgUse use);
std::string render_bars(const BarChart& chart, FigureSize size, SvgUse use);
std::string render_heat_map(const HeatMap& chart, double width, SvgUse use);

}  // namespace fathom
