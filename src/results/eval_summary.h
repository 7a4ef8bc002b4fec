// SPDX-License-Identifier: Apache-2.0
// Several tasks that `fathom eval` has evaluated, together: results.json, results.csv, report.html.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/output_set.h"
#include "report/table.h"
#include "study/evaluate.h"

namespace fathom {

// Tasks by layers: the leading metric of each, and the means of tasks with one metric. The best layer
// of a row is set off.
Table tasks_table(std::span<const EvalResult> reports);

// A page of all: that table, a heat map of it, and the verdict of each task.
std::string to_html(std::span<const EvalResult> reports, std::span<const MissingTask> missing);

void expect_summary(OutputSet& outputs, const std::filesystem::path& directory);
// results.json and results.csv have the rows of all of them; `tasks` says of each what was read or why
// it is missing. They have a report of their own each.
void write_summary(std::span<const EvalResult> reports, std::span<const MissingTask> missing,
                   const std::filesystem::path& directory, OutputSet& outputs);

}  // namespace fathom
