// SPDX-License-Identifier: Apache-2.0
// What a sweep found, as tables and as files: nothing is worked out here (study/sweep_result.h).
#pragma once

#include <filesystem>
#include <string>

#include "base/output_set.h"
#include "report/table.h"
#include "study/sweep_result.h"

namespace fathom {

// Score over the fixed curve and speed-ups, one row a policy.
Table score_table(const SweptTask& task);
// Means over the tasks that have a policy.
Table mean_table(const SweepResult& result);
// Does leaving early where the model is sure beat the best fixed layer? One row a task, for the
// measure and the operating point that calibration rows choose.
Table answer_table(const SweepResult& result);
// Policy files beside each other; no rows with fewer than two.
Table files_table(const SweptTask& task);
// What every route: file recorded of itself on held-out texts when it was fitted (fathom route):
// its gain over one mask for all, over 20 random masks, over the best of its masks for every text.
Table routing_table(const SweepResult& result);
Table guarantee_table(const SweepResult& result);
Table times_table(const SweepResult& result);
Table points_table(const SweepResult& result);  // results.csv
std::string to_html(const SweepResult& result);
// results.json, results.csv, exits.csv, report.html: all or none.
void expect_sweep(OutputSet& outputs, const std::filesystem::path& folder);
void write_sweep(const SweepResult& result, const std::filesystem::path& folder,
                 OutputSet& outputs);

}  // namespace fathom
