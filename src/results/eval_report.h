// SPDX-License-Identifier: Apache-2.0
// What `fathom eval` found, as files and tables: results.json, results.csv, report.html.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/json.h"
#include "base/output_set.h"
#include "report/table.h"
#include "study/evaluate.h"

namespace fathom {

enum class TableForm : unsigned char { kText, kMarkdown, kLatex };
// "text", "markdown" or "latex". Throws InvalidOption("table").
TableForm parse_table_form(const std::string& text);

// A p-value of paired_difference() on so many resamples: "< 0.001" where they, or three digits,
// cannot say more.
Cell p_cell(double p, size_t n_resample);
OrderedJson to_json(const EvalResult& report);
// One row a system and layer, for people.
Table summary_table(const EvalResult& report);
// What the terminal shows: the summary, the notes and the verdict. form: of the summary, as
// parse_table_form() takes it.
std::string to_text(const EvalResult& report, TableForm form = TableForm::kText);
// What each layer and baseline costs: medians of times with their quartiles, memory.
Table cost_table(const EvalResult& report);
// How far the times spread, in a sentence; "" where none was taken.
std::string time_words(const EvalResult& report);
// Every figure of the reports, one a row: the rows of results.json, each with what its system
// costs.
Table rows_table(std::span<const EvalResult> reports);
std::string to_html(const EvalResult& report);

// The files of a report in `directory`.
void expect_report(OutputSet& outputs, const std::filesystem::path& directory);
// Writes the three files, all or none. Throws Error naming the place.
void write_report(const EvalResult& report, const std::filesystem::path& directory,
                  OutputSet& outputs);

}  // namespace fathom
