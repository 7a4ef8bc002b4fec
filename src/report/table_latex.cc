// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "report/table.h"

namespace fathom {
namespace {

std::string escape_latex(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '\\':
        out += "\\textbackslash{}";
        break;
      case '~':
        out += "\\textasciitilde{}";
        break;
      case '^':
        out += "\\textasciicircum{}";
        break;
      case '<':  // another sign in the fonts of plain LaTeX
        out += "\\textless{}";
        break;
      case '>':
        out += "\\textgreater{}";
        break;
      case '&':
      case '%':
      case '$':
      case '#':
      case '_':
      case '{':
      case '}':
        out += '\\';
        out += c;
        break;
      default:
        out += c;
    }
  }
  return out;
}

// "Time (s)".
std::string heading_of(const Table& table, size_t c) {
  const std::string unit = table.heading_unit(c);
  return escape_latex(unit.empty() ? table.title(c) : fmt::format("{} ({})", table.title(c), unit));
}

}  // namespace

std::string to_latex(const Table& table) {
  const size_t n_column = table.columns().size();
  std::string align, head;
  for (size_t c = 0; c < n_column; ++c) {
    align += table.is_right_aligned(c) ? 'r' : 'l';
    head += (c == 0 ? "" : " & ") + heading_of(table, c);
  }
  std::string out =
      fmt::format("\\begin{{tabular}}{{{}}}\n\\toprule\n{} \\\\\n\\midrule\n", align, head);
  for (size_t r = 0; r < table.rows().size(); ++r) {
    if (table.has_rule_before(r)) out += "\\midrule\n";
    for (size_t c = 0; c < n_column; ++c) {
      const Cell& cell = table.rows()[r][c];
      const std::string text = escape_latex(cell.display(table.columns()[c].unit));
      out += c == 0 ? "" : " & ";
      out += cell.is_emphasised() ? fmt::format("\\textbf{{{}}}", text) : text;
    }
    out += " \\\\\n";
  }
  return out + "\\bottomrule\n\\end{tabular}\n";
}

}  // namespace fathom
