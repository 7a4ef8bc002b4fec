// SPDX-License-Identifier: Apache-2.0
// What `fathom compare` prints and writes of a comparison made by hand.
#include "results/compare_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "formats/temp_folder.h"
#include "results/eval_report.h"

namespace fathom::test::compare_report_test {
namespace {

using testing::HasSubstr;
using testing::Not;

Comparison with_p(double p, size_t n_resample) {
  Comparison c{.task = "mrpc",
               .title = "MRPC",
               .split = "validation",
               .metric = "spearman",
               .n_row = 408,
               .n_resample = n_resample,
               .lines = {}};
  for (const char* what : {"best layer", "deepest layer", "layer 1"})
    c.lines.push_back({.what = what,
                       .a = {1, 0.5, 0.4, 0.6, 1},
                       .b = {1, 0.7, 0.6, 0.8, 1},
                       .difference = 0.2,
                       .low = 0.1,
                       .high = 0.3,
                       .p = p});
  return c;
}

const ComparedSides kSides{.a = "a",
                           .b = "b",
                           .command = "fathom compare a b",
                           .settings_a = {},
                           .settings_b = {},
                           .n_layer_a = 2,
                           .n_layer_b = 2};

// No resample of 2,000 on the other side says "below 2 / 2,000", and never that p is 0.
TEST(CompareReport, PIsNeverPrintedAsZero) {
  const Comparison c = with_p(0, 2000);
  EXPECT_THAT(to_text(c, kSides), HasSubstr("  < 0.001  "));
  EXPECT_THAT(to_text(c, kSides), Not(HasSubstr("0.000")));
  EXPECT_EQ(to_json(comparison_table(c, kSides))[0]["p"], 0) << "programs get the number";
  EXPECT_THAT(to_csv(comparison_table(c, kSides)), HasSubstr(",0,"));
  const TempFolder folder;
  OutputSet outputs;
  write_comparison(std::vector{c}, kSides, folder.file(""), outputs);
  std::ifstream page(folder.file("report.html"));
  const std::string html(std::istreambuf_iterator<char>(page), {});
  EXPECT_THAT(html, HasSubstr("&lt; 0.001<"));
  EXPECT_THAT(html, Not(HasSubstr(">0.000<")));
}

TEST(CompareReport, TheBoundIsWhatTheResamplesCanSay) {
  EXPECT_EQ(p_cell(0, 50).display(), "< 0.040");
  EXPECT_EQ(p_cell(0, 900).display(), "< 0.003") << "2 / 900 = 0.0022, rounded up";
  EXPECT_EQ(p_cell(0, 2000).display(), "< 0.001");
  EXPECT_EQ(p_cell(0.001, 2000).display(), "0.001");
  EXPECT_EQ(p_cell(0.0002, 10000).display(), "< 0.001") << "three digits say no more";
  EXPECT_EQ(p_cell(0.25, 2000).display(), "0.250");
}

}  // namespace
}  // namespace fathom::test::compare_report_test
