// SPDX-License-Identifier: Apache-2.0
#include "report/figure.h"

#include "base/error.h"
#include "report/figure_forms.h"

namespace fathom {

std::string render(const Chart& chart, FigureSize size, SvgUse use) {
  FATHOM_ASSERT(size.width >= 200 && size.height >= 200);
  struct Render {
    FigureSize size;
    SvgUse use;
    std::string operator()(const XyChart& c) const { return render_xy(c, size, use); }
    std::string operator()(const BarChart& c) const { return render_bars(c, size, use); }
    std::string operator()(const HeatMap& c) const { return render_heat_map(c, size.width, use); }
  };
  return std::visit(Render{size, use}, chart);
}

}  // namespace fathom
