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

OrderedJson to_json(const EvalResult& report);
// One row a system and layer, for people.
Table summary_table(const EvalResult& report);
// What the terminal shows: the summary, the notes and the verdict. form: of the summary, as
// parse_table_form() takes it.
std::string to_text(const EvalResult& report, TableForm form = TableForm::kText);
// Every figure of the reports, one a row: the rows of results.json.
Table rows_table(std::span<const EvalResult> reports);
std::string to_html(const EvalResult& report);

// The files of a report in `directory`, and those of a summary of several.
void expect_report(OutputSet& outputs, const std::filesystem::path& directory);
void expect_summary(OutputSet& outputs, const std::filesystem::path& directory);
// Writes the three files, all or none. Throws Error naming the place.
void write_report(const EvalResult& report, const std::filesystem::path& directory,
                  OutputSet& outputs);

// Of several tasks: results.json and results.csv with the rows of all of them, and `tasks`, which
// says of each what was read or why it is missing. They have a report of their own each.
void write_summary(std::span<const EvalResult> reports, std::span<const MissingTask> missing,
                   const std::filesystem::path& directory, OutputSet& outputs);

}  // namespace fathom
