// SPDX-License-Identifier: Apache-2.0
// What `fathom compare` found: a table, results.json, results.csv and report.html.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/output_set.h"
#include "report/table.h"
#include "study/compare.h"

namespace fathom {

// The two sides as people call them, and what was typed.
struct ComparedSides {
  std::string a, b, command;
  OrderedJson settings_a, settings_b;
  size_t n_layer_a = 0, n_layer_b = 0;
};

Table comparison_table(const Comparison& comparison, const ComparedSides& sides);
// What the terminal shows: the table and what it says.
std::string to_text(const Comparison& comparison, const ComparedSides& sides);
void expect_comparison(OutputSet& outputs, const std::filesystem::path& directory);
void write_comparison(std::span<const Comparison> comparisons, const ComparedSides& sides,
                      const std::filesystem::path& directory, OutputSet& outputs);

}  // namespace fathom
