// SPDX-License-Identifier: Apache-2.0
// HtmlPage: one self-contained report page. It opens from disk, asks the network for nothing (a
// content security policy in the page forbids it), follows the reader's light or dark setting, and
// prints. Without script it is complete; with script its tables sort, its command and data can be
// copied, its figures saved as SVG or PNG, and line charts become interactive if Chart.js was
// found. A wide table is as wide as the window allows, then scrolls under its caption.
//
//   HtmlPage page("Sentence embeddings by depth");
//   page.lead("Spearman correlation on MRPC …");
//   page.section("Quality");
//   page.figure(chart, "Mean pooling, 95 % bootstrap intervals.");
//   write_file("report.html", page.str());
//
// All text is escaped here; `code` between back quotes in running text is set as code.
// One thread at a time.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/figure.h"
#include "report/table.h"

namespace fathom {

// Where Debian's libjs-chart.js puts the library (MIT).
constexpr const char* kSystemChartJs = "/usr/share/javascript/chart.js/chart.min.js";

struct KeyFigure {
  std::string label;      // "Best layer"
  std::string value;      // "3"
  std::string note = {};  // "Spearman 0.412, 34 % of the compute"
};

class HtmlPage {
 public:
  // chart_js is put into the page if it can be read and a figure can use it; no error if not.
  explicit HtmlPage(std::string title, const std::filesystem::path& chart_js = kSystemChartJs);

  // What stands below goes in the order of the calls.
  void lead(std::string_view text);
  void key_figures(const std::vector<KeyFigure>& figures);
  void section(std::string_view heading);
  void paragraph(std::string_view text);
  void note(std::string_view text);  // set off: what a reader must know before believing a figure
  // collapsed: behind its caption, for long tables.
  void table(const Table& table, std::string_view caption, bool collapsed = false);
  void figure(const Chart& chart, std::string_view caption);
  // A table of two columns without a number: how the page was made.
  void settings(const std::vector<std::pair<std::string, std::string>>& settings);
  void command(std::string_view command);
  // Raw data behind a summary, e.g. results.json as it was written.
  void data(std::string_view summary, std::string_view text);
  void footer(std::string_view text);

  std::string str() const;

 private:
  std::string title_;
  std::string chart_js_;  // empty: none
  std::string head_;      // lead and key figures, above the table of contents
  std::string body_;
  std::string footer_;
  std::vector<std::string> sections_;
  size_t n_figure_ = 0, n_table_ = 0;
  bool interactive_ = false;
};

}  // namespace fathom
