// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "report/markup.h"

namespace fathom::html_test {
namespace {

namespace fs = std::filesystem;

const fs::path kNoChartJs = "/nonexistent/chart.js";

class ChartJsFile {
 public:
  explicit ChartJsFile(const std::string& text)
      : path_(fs::temp_directory_path() / ("fathom_chart_" + std::to_string(::getpid()) + ".js")) {
    std::ofstream(path_) << text;
  }
  ~ChartJsFile() { fs::remove(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

XyChart line_chart() {
  return {.title = "Quality </script><!--",
          .x = {.title = "Layer"},
          .y = {.title = "Spearman", .from = 0},
          .categories = {"0", "final"},
          .series = {{"RWKV", {{.y = 0.1, .low = 0.05, .high = 0.2}, {.y = kMissing}}}},
          .references = {{"GloVe", 0.4064, 0.32, 0.485}, {"nothing", kMissing}}};
}

Table small_table() {
  Table t({{.name = "layer", .title = "Layer <b>"},
           {.name = "x", .title = "X"},
           {.name = "t", .title = "T", .unit = "s"}});
  t.add({"<0>", Cell(0.25, fixed(2)).between(0.125, 0.5).emphasised(), Cell(4e-5, si(2))});
  t.add_rule();
  t.add({"GloVe", missing, Cell(-std::numeric_limits<double>::infinity(), si(2))});
  return t;
}

HtmlPage full_page(const fs::path& chart_js) {
  HtmlPage page("Depth & <quality>", chart_js);
  page.lead("Lead with `co<de>` & more");
  page.key_figures({{"Best", "3", "0.41 & up"}, {"Last", "0.38"}});
  for (const char* heading : {"Quality", "Cost <1>", "Settings", "Data"}) {
    page.section(heading);
    page.paragraph("One ` back quote is itself.");
  }
  page.note("Careful: a < b");
  page.table(small_table(), "All rows & `code`");
  page.table(small_table(), "Long", true);
  page.figure(line_chart(), "Caption <i>");
  page.figure(BarChart{.title = "Bars", .categories = {"a"}, .series = {{"s", {{.y = 1}}}}},
              "Bars");
  page.settings({{"Model <m>", "/tmp/\"x\" & y"}});
  page.command("fathom eval 'a b' --x <y> && echo \"done\"");
  page.data("`results.json`", "{\"a\": \"</script><script>alert(1)</script>\"}");
  page.footer("Written by fathom");
  return page;
}

TEST(HtmlPage, IsWellFormedAndEscaped) {
  const std::string page = full_page(kNoChartJs).str();
  const Markup markup(page, Language::kHtml);
  EXPECT_EQ(markup.error(), "");
  EXPECT_EQ(markup.elements().front().attributes.at("lang"), "en");
  EXPECT_EQ(page.find("<quality>"), page.npos);
  EXPECT_EQ(page.find("alert(1)</script>"), page.npos);
  EXPECT_EQ(markup.all("h1").at(0).text, "Depth &amp; &lt;quality&gt;");
  EXPECT_EQ(markup.all("title").at(0).text, "Depth &amp; &lt;quality&gt;");
  EXPECT_NE(page.find("<code>co&lt;de&gt;</code> &amp; more"), page.npos);
  EXPECT_NE(page.find("One ` back quote is itself."), page.npos);
}

TEST(HtmlPage, AsksTheNetworkForNothing) {
  const std::string page = full_page(kNoChartJs).str();
  const Markup markup(page, Language::kHtml);
  for (const Element& e : markup.elements()) {
    EXPECT_FALSE(e.attributes.count("src")) << e.name;
    const auto href = e.attributes.find("href");
    if (href != e.attributes.end()) {
      EXPECT_TRUE(href->second[0] == '#' || href->second == "data:,") << href->second;
    }
  }
  // The only addresses are the names of XML namespaces.
  EXPECT_EQ(count(page, "://"), count(page, "xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_EQ(count(page, "url("), 0u);
  EXPECT_EQ(count(page, "@import"), 0u);
  const Element policy = markup.all("meta").at(3);
  EXPECT_EQ(policy.attributes.at("http-equiv"), "Content-Security-Policy");
  EXPECT_EQ(
      policy.attributes.at("content").find("default-src &#39;none&#39;") != std::string::npos ||
          policy.attributes.at("content").find("default-src 'none'") != std::string::npos,
      true);
}

TEST(HtmlPage, IdsAreUniqueAndReferencesLead) {
  const Markup markup(full_page(kNoChartJs).str(), Language::kHtml);
  std::set<std::string> ids;
  for (const Element& e : markup.elements()) {
    const auto id = e.attributes.find("id");
    if (id != e.attributes.end()) {
      EXPECT_TRUE(ids.insert(id->second).second) << id->second;
    }
  }
  for (const Element& e : markup.elements()) {
    const auto label = e.attributes.find("aria-labelledby");
    if (label != e.attributes.end()) {
      EXPECT_TRUE(ids.count(label->second)) << label->second;
    }
    const auto href = e.attributes.find("href");
    if (href != e.attributes.end() && href->second[0] == '#') {
      EXPECT_TRUE(ids.count(href->second.substr(1))) << href->second;
    }
  }
}

TEST(HtmlPage, TablesHaveHeadersSortKeysAndGroups) {
  HtmlPage page("t", kNoChartJs);
  page.table(small_table(), "Caption");
  const std::string html = page.str();
  const Markup markup(html, Language::kHtml);
  EXPECT_EQ(markup.all("tbody").size(), 2u);  // the rule
  size_t n_column_head = 0, n_row_head = 0;
  for (const Element& th : markup.all("th")) {
    (th.attributes.at("scope") == "col" ? n_column_head : n_row_head) += 1;
  }
  EXPECT_EQ(n_column_head, 3u);
  EXPECT_EQ(n_row_head, 2u);
  EXPECT_NE(
      html.find("data-v=\"0.25\"><strong>0.25</strong><span class=\"range\">[0.12, 0.50]</span>"),
      html.npos);
  EXPECT_NE(html.find("data-v=\"4e-05\">40 \u00b5s<"), html.npos);
  EXPECT_NE(html.find("data-v=\"-Infinity\">-inf<"), html.npos);
  EXPECT_NE(html.find("data-v=\"nan\"><span class=\"none\">-</span>"), html.npos);
}

// Fifteen columns have to fit a window of 1200 pixels: they are set closer.
TEST(HtmlPage, ManyColumnsAreSetCloser) {
  for (const size_t n : {12, 13, 15, 18}) {
    std::vector<Column> columns;
    for (size_t c = 0; c < n; ++c) columns.push_back({.name = "c" + std::to_string(c)});
    HtmlPage page("t", kNoChartJs);
    page.table(Table(columns), "Caption");
    EXPECT_EQ(page.str().find("class=\"sortable dense") != std::string::npos, n >= 13) << n;
    EXPECT_EQ(page.str().find(" tight\"") != std::string::npos, n >= 17) << n;
  }
  HtmlPage page("t", kNoChartJs);
  for (const char* rule : {".dense ", ".tight "})
    EXPECT_NE(page.str().find(rule), std::string::npos) << "the style knows the class";
}

// In a narrow window the first column stays beside the others: a long name must leave them room.
TEST(HtmlPage, LongNamesOfRowsBreakInNarrowWindows) {
  Table table({{.name = "task", .title = "Task"}, {.name = "x"}});
  table.add({"MRPC", 1});
  table.add({"Microsoft Research Paraphrase Corpus", 2});
  HtmlPage page("t", kNoChartJs);
  page.table(table, "Caption");
  EXPECT_NE(page.str().find("<th scope=\"row\">MRPC<"), std::string::npos);
  EXPECT_NE(page.str().find("<th scope=\"row\" class=\"name\">Microsoft"), std::string::npos);
  EXPECT_NE(page.str().find("th.name{white-space:normal"), std::string::npos);
}

TEST(HtmlPage, FiguresComeWideAndNarrow) {
  HtmlPage page("t", kNoChartJs);
  page.figure(line_chart(), "Caption");
  const std::string html = page.str();
  EXPECT_NE(html.find("<div class=\"wide\"><svg"), html.npos);
  EXPECT_NE(html.find("<div class=\"narrow\"><svg"), html.npos);
  EXPECT_NE(html.find("<figcaption><b>Figure 1.</b> Caption</figcaption>"), html.npos);
}

TEST(HtmlPage, SettingsAreATableAndFiguresAreSavedInTwoFormats) {
  const std::string html = full_page(kNoChartJs).str();
  EXPECT_NE(
      html.find("<table class=\"settings\"><tbody>\n<tr><th scope=\"row\">Model &lt;m&gt;</th>"
                "<td>/tmp/&quot;x&quot; &amp; y</td></tr>"),
      html.npos);
  for (const char* name : {"Save SVG", "Save PNG", "canvas.toBlob"})
    EXPECT_NE(html.find(name), html.npos) << name;
  EXPECT_NE(html.find("img-src data:"), html.npos) << "the drawing on its way to the canvas";
}

TEST(HtmlPage, ContentsOnlyWhereThePageIsLong) {
  HtmlPage page("t", kNoChartJs);
  for (const char* heading : {"A", "B", "C"}) page.section(heading);
  EXPECT_EQ(page.str().find("<nav"), std::string::npos);
  page.section("D");
  EXPECT_NE(page.str().find("<a href=\"#section-4\">D</a>"), std::string::npos);
}

TEST(HtmlPage, EmptyPageAndEmptyPartsAreWhole) {
  EXPECT_EQ(Markup(HtmlPage("", kNoChartJs).str(), Language::kHtml).error(), "");
  HtmlPage page("t", kNoChartJs);
  page.lead("");
  page.key_figures({});
  page.table(Table({{.name = "a"}}), "");
  page.figure(XyChart{}, "");
  page.settings({});
  page.command("");
  page.data("", "");
  EXPECT_EQ(Markup(page.str(), Language::kHtml).error(), "");
}

TEST(HtmlPage, InteractiveDataOnlyWithChartJs) {
  EXPECT_EQ(full_page(kNoChartJs).str().find("chart-data\">"), std::string::npos);
  const ChartJsFile file("/*! Chart.js v3.9.1, MIT */ window.Chart = 1;");
  const std::string html = full_page(file.path()).str();
  const Markup markup(html, Language::kHtml);
  ASSERT_EQ(markup.error(), "");
  EXPECT_EQ(count(html, "window.Chart = 1;"), 1u);
  std::vector<Element> data;
  for (const Element& e : markup.all("script")) {
    if (e.attributes.count("class")) data.push_back(e);
  }
  ASSERT_EQ(data.size(), 1u) << "the line chart; bars have no interactive form";
  EXPECT_EQ(data[0].text.find('<'), std::string::npos);
  const Json chart = Json::parse(data[0].text);
  EXPECT_EQ(chart["title"], "Quality </script><!--");
  EXPECT_EQ(chart["categories"], Json({"0", "final"}));
  EXPECT_EQ(chart["series"][0]["points"][0], Json({{"y", 0.1}, {"low", 0.05}, {"high", 0.2}}));
  EXPECT_EQ(chart["series"][0]["points"][1], Json({{"y", nullptr}}));
  EXPECT_EQ(chart["references"].size(), 1u);
  EXPECT_EQ(chart["series"][0]["look"], 0);
  EXPECT_EQ(chart["references"][0]["look"], 1);
  EXPECT_EQ(chart["y"]["from"], 0);
}

TEST(HtmlPage, ChartJsIsLeftOutWhereNothingUsesIt) {
  const ChartJsFile file("/*! Chart.js */ window.Chart = 1;");
  HtmlPage page("t", file.path());
  page.figure(BarChart{.categories = {"a"}, .series = {{"s", {{.y = 1}}}}}, "");
  EXPECT_EQ(page.str().find("window.Chart"), std::string::npos);
}

TEST(HtmlPage, WhatIsNotChartJsIsNotRun) {
  for (const char* text : {"alert(1)", "/* Chart.js */ '</script><b>'",
                           "/* Chart.js */ '</SCRIPT>'", "/* Chart.js */ '<!-- <script>'", ""}) {
    const ChartJsFile file(text);
    HtmlPage page("t", file.path());
    page.figure(line_chart(), "");
    EXPECT_EQ(Markup(page.str(), Language::kHtml).error(), "") << text;
    EXPECT_EQ(page.str().find("chart-data\">"), std::string::npos) << text;
  }
  HtmlPage folder("t", fs::temp_directory_path());
  folder.figure(line_chart(), "");
  EXPECT_EQ(folder.str().find("chart-data\">"), std::string::npos);
}

TEST(HtmlPage, TheSystemsChartJsIsUsable) {
  if (!fs::exists(kSystemChartJs)) GTEST_SKIP() << kSystemChartJs << " is not installed";
  HtmlPage page("t");
  page.figure(line_chart(), "");
  EXPECT_NE(page.str().find("chart-data\">"), std::string::npos);
  EXPECT_EQ(Markup(page.str(), Language::kHtml).error(), "");
}

TEST(HtmlPage, ScriptsParse) {
  if (std::system("command -v node >/dev/null 2>&1") != 0) GTEST_SKIP() << "node is not installed";
  const ChartJsFile chart_js("/* Chart.js */");
  const Markup markup(full_page(chart_js.path()).str(), Language::kHtml);
  size_t n = 0;
  for (const Element& script : markup.all("script")) {
    if (script.attributes.count("type")) continue;  // data
    ++n;
    const ChartJsFile file(script.text);
    EXPECT_EQ(std::system(("node --check " + file.path().string()).c_str()), 0);
  }
  EXPECT_EQ(n, 3u);
}

}  // namespace
}  // namespace fathom::html_test
