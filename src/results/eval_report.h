// SPDX-License-Identifier: Apache-2.0
// What `fathom eval` found, as files and tables: results.json, results.csv, report.html.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/output_set.h"
#include "eval/run.h"
#include "model/config.h"
#include "report/table.h"

namespace fathom::cli {

struct EvalReport {
  std::string command;
  OrderedJson model, settings;  // as recorded in results.json
  std::string task, title, split;
  size_t n_pair = 0, n_positive = 0;
  bool binary = true;
  size_t n_layer = 0;
  Version version = Config().version;
  std::string pooling, norm, scan;
  bool has_hf_index = true;  // pooled from rows that Hugging Face lists, too: no state, no head
  std::optional<std::string> glove;  // its file
  double glove_coverage = 0;
  std::optional<std::string> glove_warning;  // that it knows hardly any word; in notes as well
  std::optional<std::string> bag;            // its folder
  std::vector<MetricRow> rows;
  std::vector<CostRow> costs;
  std::vector<std::string> notes;
};

// What people call a baseline ("glove", "bag").
std::string baseline_title(std::string_view system);

OrderedJson to_json(const EvalReport& report);
// One row a system and layer, for people.
Table summary_table(const EvalReport& report);
// Every figure of the reports, one a row: the rows of results.json.
Table rows_table(std::span<const EvalReport> reports);
std::string to_html(const EvalReport& report);

// The files of a report in `directory`, and those of a summary of several.
void expect_report(OutputSet& outputs, const std::filesystem::path& directory);
void expect_summary(OutputSet& outputs, const std::filesystem::path& directory);
// Writes the three files, all or none. Throws Error naming the place.
void write_report(const EvalReport& report, const std::filesystem::path& directory,
                  OutputSet& outputs);

// A task that was asked for and has no figures.
struct MissingTask {
  std::string task, title, split, why;
};
// Of several tasks: results.json and results.csv with the rows of all of them, and `tasks`, which
// says of each what was read or why it is missing. They have a report of their own each.
void write_summary(std::span<const EvalReport> reports, std::span<const MissingTask> missing,
                   const std::filesystem::path& directory, OutputSet& outputs);

}  // namespace fathom::cli
