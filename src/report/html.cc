// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "report/frame.h"
#include "report/page_assets.h"
#include "report/palette.h"
#include "report/text.h"

namespace fathom {
namespace {

constexpr size_t kLongText = 40;     // columns; a longer cell may break over lines
constexpr size_t kLongName = 16;     // columns; a longer name of a row does in a narrow window
constexpr size_t kContentsFrom = 4;  // sections that make a table of contents worth its room
constexpr size_t kDenseFrom = 13;    // columns; such tables are set closer, to fit a window of 1200
constexpr size_t kTightFrom = 17;    // and these closer still
constexpr size_t kLargestScript = 4 << 20;

// Escaped, with `code` as <code>.
std::string running_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('`');
    const size_t close = open == text.npos ? text.npos : text.find('`', open + 1);
    if (close == text.npos) return out + escape_xml(text);
    out += escape_xml(text.substr(0, open));
    out += "<code>" + escape_xml(text.substr(open + 1, close - open - 1)) + "</code>";
    text.remove_prefix(close + 1);
  }
  return out;
}

std::string read_chart_js(const std::filesystem::path& path) {
  std::error_code error;
  const bool is_file = std::filesystem::is_regular_file(path, error);
  if (!is_file || std::filesystem::file_size(path, error) > kLargestScript) return "";
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  // Something else under this name, or what would end the script element, is left out.
  const bool usable = text.find("Chart.js") != text.npos && text.find("</") == text.npos &&
                      text.find("<!--") == text.npos;
  return usable ? text : "";
}

std::string table_head(const Table& table) {
  std::string out = "<thead><tr>";
  for (size_t c = 0; c < table.columns().size(); ++c) {
    out += fmt::format("<th scope=\"col\"{}>{}", table.is_right_aligned(c) ? " class=\"num\"" : "",
                       escape_xml(table.title(c)));
    const std::string unit = table.heading_unit(c);
    if (!unit.empty()) out += fmt::format(" <span class=\"unit\">{}</span>", escape_xml(unit));
    out += "</th>";
  }
  return out + "</tr></thead>\n";
}

std::string cell_content(const Cell& cell, const std::string& unit) {
  if (cell.is_missing()) return "<span class=\"none\">-</span>";
  const std::string text = cell.display(unit, "\u00b5");
  // The interval stands back behind its value.
  const size_t bracket = cell.interval() ? text.find(" [") : text.npos;
  std::string out = escape_xml(text.substr(0, bracket));
  if (cell.is_emphasised()) out = "<strong>" + out + "</strong>";
  if (bracket == text.npos) return out;
  return out + "<span class=\"range\">" + escape_xml(text.substr(bracket + 1)) + "</span>";
}

std::string table_cell(const Table& table, const Cell& cell, size_t column) {
  const size_t width = cell.is_text() ? display_width(cell.display()) : 0;
  const char* name = column == 0 ? "th" : "td";
  std::string out = fmt::format("<{}", name);
  if (column == 0) out += " scope=\"row\"";
  if (table.is_right_aligned(column)) {
    out += " class=\"num\"";
  } else if (width > kLongText) {
    out += " class=\"long\"";
  } else if (column == 0 && width > kLongName) {
    out += " class=\"name\"";
  }
  struct SortKey {
    std::string operator()(std::monostate) const { return "nan"; }
    std::string operator()(const std::string&) const { return ""; }
    std::string operator()(int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const {
      return std::isinf(v) ? (v > 0 ? "Infinity" : "-Infinity") : format_number(v, {});
    }
  };
  const std::string key = std::visit(SortKey{}, cell.value());
  if (!key.empty()) out += fmt::format(" data-v=\"{}\"", key);
  return out + fmt::format(">{}</{}>", cell_content(cell, table.columns()[column].unit), name);
}

std::string table_element(const Table& table, size_t number) {
  const size_t n = table.columns().size();
  std::string out = fmt::format("<table class=\"sortable{}\" aria-labelledby=\"table-{}\">\n",
                                n >= kTightFrom   ? " dense tight"
                                : n >= kDenseFrom ? " dense"
                                                  : "",
                                number);
  out += table_head(table) + "<tbody>\n";
  for (size_t r = 0; r < table.rows().size(); ++r) {
    if (table.has_rule_before(r)) out += "</tbody><tbody>\n";
    out += "<tr>";
    for (size_t c = 0; c < table.columns().size(); ++c) {
      out += table_cell(table, table.rows()[r][c], c);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

OrderedJson json_or_null(double v) {
  return std::isfinite(v) ? OrderedJson(v) : OrderedJson(nullptr);
}

OrderedJson axis_json(const Axis& axis) {
  OrderedJson out = {
      {"title", axis.title}, {"unit", axis.unit}, {"prefix", axis.prefix}, {"log", axis.log}};
  if (axis.from) out["from"] = *axis.from;
  if (axis.to) out["to"] = *axis.to;
  return out;
}

OrderedJson look_json(size_t look) {
  return look == kNeutral ? OrderedJson(nullptr) : OrderedJson(look);
}

// What kChartScript reads.
std::string chart_data(const XyChart& chart) {
  OrderedJson data = {{"title", chart.title}, {"x", axis_json(chart.x)}, {"y", axis_json(chart.y)}};
  if (!chart.categories.empty()) data["categories"] = chart.categories;
  data["series"] = OrderedJson::array();
  for (const Series& series : chart.series) {
    OrderedJson points = OrderedJson::array();
    for (const Point& p : series.points) {
      OrderedJson point = {{"y", json_or_null(p.y)}};
      if (chart.categories.empty()) point["x"] = json_or_null(p.x);
      if (std::isfinite(p.low) && std::isfinite(p.high)) {
        point["low"] = p.low;
        point["high"] = p.high;
      }
      if (!p.label.empty()) point["label"] = p.label;
      points.push_back(std::move(point));
    }
    const size_t s = data["series"].size();
    const char* mark = series.mark == Mark::kLine     ? "line"
                       : series.mark == Mark::kPoints ? "points"
                                                      : "curve";
    data["series"].push_back({{"name", series.name},
                              {"mark", mark},
                              {"dashed", series.dashed},
                              {"quiet", series.quiet},
                              {"look", look_json(look_of(series, s))},
                              {"points", std::move(points)}});
  }
  data["references"] = OrderedJson::array();
  for (size_t i = 0; i < chart.references.size(); ++i) {
    const ReferenceLine& r = chart.references[i];
    if (!std::isfinite(r.y)) continue;
    data["references"].push_back({{"name", r.name},
                                  {"look", look_json(look_of(r, chart.series.size(), i))},
                                  {"y", r.y},
                                  {"low", json_or_null(r.low)},
                                  {"high", json_or_null(r.high)}});
  }
  return dump_json(data);
}

bool is_line_chart(const Chart& chart) {
  const auto* xy = std::get_if<XyChart>(&chart);
  const auto is_line = [](const Series& s) { return s.mark != Mark::kPoints; };
  return xy && std::any_of(xy->series.begin(), xy->series.end(), is_line);
}

}  // namespace

HtmlPage::HtmlPage(std::string title, const std::filesystem::path& chart_js)
    : title_(std::move(title)), chart_js_(read_chart_js(chart_js)) {}

void HtmlPage::lead(std::string_view text) {
  head_ += "<p class=\"lead\">" + running_text(text) + "</p>\n";
}

void HtmlPage::key_figures(const std::vector<KeyFigure>& figures) {
  head_ += "<dl class=\"keys\">\n";
  for (const KeyFigure& f : figures) {
    head_ += fmt::format("<div class=\"key\"><dt>{}</dt><dd class=\"value\">{}</dd>",
                         escape_xml(f.label), escape_xml(f.value));
    if (!f.note.empty()) head_ += fmt::format("<dd class=\"about\">{}</dd>", running_text(f.note));
    head_ += "</div>\n";
  }
  head_ += "</dl>\n";
}

void HtmlPage::section(std::string_view heading) {
  sections_.emplace_back(heading);
  body_ += fmt::format("<h2 id=\"section-{}\">{}</h2>\n", sections_.size(), escape_xml(heading));
}

void HtmlPage::paragraph(std::string_view text) { body_ += "<p>" + running_text(text) + "</p>\n"; }

void HtmlPage::note(std::string_view text) {
  body_ += "<p class=\"note\" role=\"note\">" + running_text(text) + "</p>\n";
}

void HtmlPage::table(const Table& table, std::string_view caption, bool collapsed) {
  ++n_table_;
  const std::string title = fmt::format("<b>Table {}.</b> {}", n_table_, running_text(caption));
  body_ += collapsed
               ? fmt::format(
                     "<details class=\"collapsed\"><summary id=\"table-{}\">{}"
                     "</summary>\n<div class=\"sheet\">",
                     n_table_, title)
               : fmt::format("<div class=\"sheet\"><p class=\"caption\" id=\"table-{}\">{}</p>\n",
                             n_table_, title);
  // A wide table scrolls under its caption; tabindex lets the keyboard do it too.
  body_ += fmt::format(
      "<div class=\"scroll\" role=\"region\" aria-labelledby=\"table-{}\" "
      "tabindex=\"0\">\n{}</div></div>\n",
      n_table_, table_element(table, n_table_));
  if (collapsed) body_ += "</details>\n";
}

void HtmlPage::figure(const Chart& chart, std::string_view caption) {
  ++n_figure_;
  body_ += fmt::format("<figure id=\"figure-{}\">\n", n_figure_);
  body_ += "<div class=\"wide\">" + render(chart, kWideFigure, SvgUse::kPage) + "</div>\n";
  body_ += "<div class=\"narrow\">" + render(chart, kNarrowFigure, SvgUse::kPage) + "</div>\n";
  if (!chart_js_.empty() && is_line_chart(chart)) {
    interactive_ = true;
    body_ += "<script type=\"application/json\" class=\"chart-data\">" +
             escape_script_json(chart_data(std::get<XyChart>(chart))) + "</script>\n";
  }
  body_ += fmt::format("<figcaption><b>Figure {}.</b> {}</figcaption>\n</figure>\n", n_figure_,
                       running_text(caption));
}

void HtmlPage::settings(const std::vector<std::pair<std::string, std::string>>& settings) {
  body_ += "<table class=\"settings\"><tbody>\n";
  for (const auto& [key, value] : settings) {
    body_ += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape_xml(key),
                         escape_xml(value));
  }
  body_ += "</tbody></table>\n";
}

void HtmlPage::command(std::string_view command) {
  body_ += "<div class=\"block\"><pre><code>" + escape_xml(command) + "</code></pre></div>\n";
}

void HtmlPage::data(std::string_view summary, std::string_view text) {
  body_ += fmt::format(
      "<details><summary>{}</summary>\n<div class=\"block\"><pre>{}</pre></div></details>\n",
      running_text(summary), escape_xml(text));
}

void HtmlPage::footer(std::string_view text) { footer_ += "<p>" + running_text(text) + "</p>\n"; }

std::string HtmlPage::str() const {
  std::string out = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  out += "<meta name=\"color-scheme\" content=\"light dark\">\n";
  out +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n";
  out += "<link rel=\"icon\" href=\"data:,\">\n";
  out += "<title>" + escape_xml(title_) + "</title>\n<style>";
  out += page_figure_css();
  out += kPageStyle;
  out += "</style>\n</head>\n<body>\n<header>\n<h1>" + escape_xml(title_) + "</h1>\n" + head_;
  if (sections_.size() >= kContentsFrom) {
    out += "<nav aria-label=\"Contents\"><ol>\n";
    for (size_t i = 0; i < sections_.size(); ++i) {
      out +=
          fmt::format("<li><a href=\"#section-{}\">{}</a></li>\n", i + 1, escape_xml(sections_[i]));
    }
    out += "</ol></nav>\n";
  }
  out += "</header>\n<main>\n" + body_ + "</main>\n";
  if (!footer_.empty()) out += "<footer>\n" + footer_ + "</footer>\n";
  out += "<script>";
  out += kPageScript;
  out += "</script>\n";
  if (interactive_) {
    out += "<script>" + chart_js_ + "</script>\n<script>";
    out += kChartScript;
    out += "</script>\n";
  }
  return out + "</body>\n</html>\n";
}

}  // namespace fathom
