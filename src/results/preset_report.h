// SPDX-License-Identifier: Apache-2.0
// The experiment of a paper beside what the paper printed: one table in its form, one page.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/output_set.h"
#include "report/table.h"
#include "results/eval_report.h"
#include "study/preset.h"

namespace fathom {

// A row for each baseline, each of the paper's layers, and the last one.
Table preset_table(const PresetResult& result);
// What the paper left open, and what the model has not: a sentence each.
std::vector<std::string> preset_notes(const PresetResult& result);

OrderedJson to_json(const PresetResult& result);
std::string to_text(const PresetResult& result, TableForm form = TableForm::kText);
std::string to_html(const PresetResult& result);

// results.json, results.csv (both splits) and report.html, all or none; said by expect_report().
void write_preset(const PresetResult& result, const std::filesystem::path& directory,
                  OutputSet& outputs);

}  // namespace fathom
