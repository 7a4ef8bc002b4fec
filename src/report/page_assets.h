// SPDX-License-Identifier: Apache-2.0
// The page's own style sheet and script. Neither holds "</" so that both can be inlined as they
// are.
#pragma once

#include <string_view>

namespace fathom {

extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;
// Interactive charts: needs Chart.js before it, and a figure's data in <script class="chart-data">.
extern const std::string_view kChartScript;

}  // namespace fathom
