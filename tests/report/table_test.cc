// SPDX-License-Identifier: Apache-2.0
#include "report/table.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <sstream>

#include "report/markup.h"

namespace fathom::table_test {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

Table layers() {
  Table t({{.name = "layer", .title = "Layer", .align = Align::kRight},
           {.name = "spearman", .title = "Spearman"},
           {.name = "seconds", .title = "Time", .unit = "s"},
           {.name = "n", .unit = "pairs"}});
  t.add({"0", Cell(0.39441, fixed(4)).between(0.3012, 0.4821), Cell(4.1e-5, si(3)), 408});
  t.add({"final", Cell(0.41, fixed(4)).between(0.32, 0.4999).emphasised(), missing, 408});
  t.add_rule();
  t.add({"GloVe", Cell(std::nan(""), fixed(4)), Cell(2.0, si(3)), 7});
  return t;
}

// The fields of RFC 4180 text whose records end in \n.
std::vector<std::vector<std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
        rows.back().back() += text[++i];
      } else if (c == '"') {
        quoted = false;
      } else {
        rows.back().back() += c;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      rows.back().emplace_back();
    } else if (c == '\n') {
      rows.emplace_back(1);
    } else {
      rows.back().back() += c;
    }
  }
  EXPECT_FALSE(quoted);
  EXPECT_EQ(rows.back(), std::vector<std::string>{""}) << "the last record ends with a line end";
  rows.pop_back();
  return rows;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(Text, AlignsNumbersUnitsIntervalsAndTheStar) {
  EXPECT_EQ(to_text(layers()),
            "Layer                 Spearman      Time  n (pairs)\n"
            "-----  ------------------------  -------  ---------\n"
            "    0  0.3944 [0.3012, 0.4821]   41.0 us        408\n"
            "final  0.4100 [0.3200, 0.4999]*        -        408\n"
            "-----  ------------------------  -------  ---------\n"
            "GloVe                      nan    2.00 s          7\n");
}

TEST(Text, NoRows) { EXPECT_EQ(to_text(Table({{.name = "a"}, {.name = "bc"}})), "a  bc\n-  --\n"); }

TEST(Text, CutsTextColumnsBeforeItBreaksLines) {
  Table t({{.name = "task"}, {.name = "text"}, {.name = "n"}});
  t.add({"MRPC", std::string(90, 'x'), 12345});
  const std::string text = to_text(t, 60);
  for (const std::string& line : lines(text)) EXPECT_LE(line.size(), 60u);
  EXPECT_EQ(lines(text).size(), 3u);
  EXPECT_NE(text.find("x...  12345\n"), text.npos);
}

TEST(Text, WideTablesContinueBelowWithTheFirstColumn) {
  std::vector<Column> columns = {{.name = "layer"}};
  for (int c = 0; c < 12; ++c) columns.push_back({.name = "metric_" + std::to_string(c)});
  Table t(columns);
  for (int r = 0; r < 3; ++r) {
    std::vector<Cell> row = {"row" + std::to_string(r)};
    for (int c = 0; c < 12; ++c) row.push_back(Cell(c + 0.25, fixed(4)));
    t.add(row);
  }
  const std::string text = to_text(t, 50);
  for (const std::string& line : lines(text)) EXPECT_LE(line.size(), 50u) << line;
  const size_t n_block = count(text, "row0");
  EXPECT_GT(n_block, 1u);
  EXPECT_EQ(count(text, "layer"), n_block);
  for (int c = 0; c < 12; ++c)
    EXPECT_EQ(count(text, "metric_" + std::to_string(c)), c == 1 ? 3u : 1u);
}

TEST(Text, OneColumnWiderThanTheTerminalStillAppears) {
  Table t({{.name = "a"}, {.name = "a_number_with_a_long_name"}, {.name = "b"}});
  t.add({1, 2, 3});
  const std::string text = to_text(t, 10);
  EXPECT_NE(text.find("a_number_with_a_long_name"), text.npos);
  EXPECT_NE(text.find("  b\n"), text.npos);
}

TEST(Text, Utf8TakesItsColumnsAndControlCharactersDoNothing) {
  Table t({{.name = "name"}, {.name = "n"}});
  t.add({"\u4f60\u597d", 1});
  t.add({"na\u00efve", 22});
  t.add({"a\x1b[2J\nb", 3});
  EXPECT_EQ(to_text(t),
            "name      n\n"
            "-------  --\n"
            "\u4f60\u597d      1\n"
            "na\u00efve    22\n"
            "a [2J b   3\n");
}

TEST(Text, IsAsciiWhereTheCellsAre) {
  for (const char c : to_text(layers())) EXPECT_LT(static_cast<unsigned char>(c), 0x80);
}

TEST(Markdown, HasAlignmentAndEscapes) {
  Table t({{.name = "name", .title = "A|B"}, {.name = "x", .unit = "%"}});
  t.add({"a|b*c_<d>\n", Cell(1.5, fixed(1)).emphasised()});
  t.add({missing, Cell(-2.25, fixed(1))});
  EXPECT_EQ(to_markdown(t),
            "| A\\|B | x (%) |\n"
            "| --- | ---: |\n"
            "| a\\|b\\*c\\_\\<d\\>  | **1.5** |\n"
            "| - | -2.2 |\n");
}

TEST(Csv, IntervalsBecomeColumns) {
  EXPECT_EQ(to_csv(layers()),
            "layer,spearman,spearman_low,spearman_high,seconds,n\n"
            "0,0.39441,0.3012,0.4821,4.1e-05,408\n"
            "final,0.41,0.32,0.4999,,408\n"
            "GloVe,nan,,,2,7\n");
}

TEST(Csv, RoundTripsAnyText) {
  const std::vector<std::string> texts = {"plain",      "a,b",    "say \"hi\"", "two\nlines",
                                          "cr\rlf\r\n", "",       " blanks  ",  "\"",
                                          ",",          "\"\n\"", "\xFF",       "\u00e9\u4f60"};
  Table t({{.name = "a,\"name\""}, {.name = "b"}});
  for (const std::string& text : texts) t.add({text, "x" + text});
  const auto rows = parse_csv(to_csv(t));
  ASSERT_EQ(rows.size(), texts.size() + 1);
  EXPECT_EQ(rows[0][0], "a,\"name\"");
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(rows[i + 1], (std::vector<std::string>{texts[i], "x" + texts[i]}));
  }
}

TEST(Csv, RoundTripsNumbers) {
  const std::vector<double> values = {0.1,
                                      1.0 / 3,
                                      -1e-310,
                                      std::numeric_limits<double>::max(),
                                      std::numeric_limits<double>::denorm_min(),
                                      123456789.123456789,
                                      -0.39441837126};
  Table t({{.name = "x"}, {.name = "n"}});
  const int64_t big = std::numeric_limits<int64_t>::min();
  for (const double v : values) t.add({Cell(v, fixed(2)), big});  // the format is for people
  const auto rows = parse_csv(to_csv(t));
  for (size_t i = 0; i < values.size(); ++i) {
    double back = 0;
    const std::string& text = rows[i + 1][0];
    std::from_chars(text.data(), text.data() + text.size(), back);
    EXPECT_EQ(back, values[i]);
    EXPECT_EQ(rows[i + 1][1], "-9223372036854775808");
  }
}

TEST(Csv, AMissingValueAloneIsStillARecord) {
  Table t({{.name = "x"}});
  t.add({missing});
  t.add({1});
  EXPECT_EQ(to_csv(t), "x\n\"\"\n1\n");
}

TEST(Json, KeepsTypesOrderAndEveryDigit) {
  Table t({{.name = "layer"}, {.name = "score"}, {.name = "n"}, {.name = "gap"}});
  t.add({"final", Cell(1.0 / 3, fixed(2)).between(0.25, kInf), 408, missing});
  t.add({12, Cell(std::nan(""), fixed(2)), 0, -kInf});
  EXPECT_EQ(to_json(t).dump(),
            "[{\"layer\":\"final\",\"score\":0.3333333333333333,\"score_low\":0.25,"
            "\"score_high\":\"inf\",\"n\":408,\"gap\":null},"
            "{\"layer\":12,\"score\":null,\"score_low\":null,\"score_high\":null,\"n\":0,"
            "\"gap\":\"-inf\"}]");
}

TEST(Json, BytesThatAreNotUtf8DoNotStopIt) {
  Table t({{.name = "text"}});
  t.add({"\xFF<"});
  EXPECT_EQ(to_json(t).dump(), "[{\"text\":\"\uFFFD<\"}]");
  EXPECT_EQ(to_json(Table({{.name = "a"}})).dump(), "[]");
}

TEST(Cell, DisplaysForPeople) {
  EXPECT_EQ(Cell().display(), "-");
  EXPECT_EQ(Cell(missing).display(), "-");
  EXPECT_EQ(Cell("text").display("s"), "text");
  EXPECT_EQ(Cell(size_t{7}).display("s"), "7");
  EXPECT_EQ(Cell(0.5).display(), "0.5");
  EXPECT_EQ(Cell(kInf, fixed(3)).display(), "inf");
  EXPECT_EQ(Cell(1.12e-3, si(3)).display("s"), "1.12 ms");
  EXPECT_EQ(Cell(41e-6, si(3)).between(3e-5, 1).display("s", "\u00b5"),
            "41.0 \u00b5s [30.0 \u00b5s, 1.00 s]");
  EXPECT_EQ(Cell(0.5, fixed(2)).between(std::nan(""), 1).display(), "0.50");  // no interval known
  EXPECT_EQ(Cell(0.0, fixed(3)).resolved_to(0.001).display(), "< 0.001");
  EXPECT_EQ(Cell(0.001, fixed(3)).resolved_to(0.001).display(), "0.001");
  EXPECT_EQ(Cell(std::nan(""), fixed(3)).resolved_to(0.001).display(), "nan");
}

TEST(TableDeathTest, ShapesAreTheCallersDuty) {
  Table t({{.name = "a"}, {.name = "b"}});
  EXPECT_DEATH(t.add({1}), "bug at");
  EXPECT_DEATH(Table({}), "bug at");
  EXPECT_DEATH(Table({{.name = "a"}, {.name = "a"}}), "bug at");
  EXPECT_DEATH(Cell("text").between(0, 1), "bug at");
  EXPECT_DEATH(Cell{std::numeric_limits<uint64_t>::max()}, "bug at");
}

TEST(TableLatex, EscapesAndSetsTheBestInBold) {
  Table t({{.name = "layer", .title = "Layer_1"}, {.name = "x", .title = "Share %"}});
  t.add({"a & b", Cell(0.5, fixed(2)).emphasised()});
  t.add_rule();
  t.add({"c\\d <x>", Cell(0.25, fixed(2))});
  EXPECT_EQ(to_latex(t),
            "\\begin{tabular}{lr}\n\\toprule\nLayer\\_1 & Share \\% \\\\\n\\midrule\n"
            "a \\& b & \\textbf{0.50} \\\\\n\\midrule\nc\\textbackslash{}d "
            "\\textless{}x\\textgreater{} & 0.25 \\\\\n"
            "\\bottomrule\n\\end{tabular}\n");
}

TEST(Table, ColumnsWithoutAnyValueCanBeLeftOut) {
  Table t({{.name = "a"}, {.name = "b"}, {.name = "c"}});
  t.add({missing, missing, 1});
  t.add_rule();
  t.add({"x", missing, missing});
  const Table shown = without_empty_columns(t);
  ASSERT_EQ(shown.columns().size(), 2u);
  EXPECT_EQ(shown.columns()[1].name, "c");
  EXPECT_TRUE(shown.has_rule_before(1));
  EXPECT_EQ(to_csv(shown), "a,c\n,1\nx,\n");
}

}  // namespace
}  // namespace fathom::table_test
