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
// The cheapest exit and the cheapest layer that keep 99 % of full depth on calibration rows.
Table cheaper_table(const SweepResult& result);

// Over seeds (seeds_report.cc). What exits have over the strongest fixed depth, in a sentence; "" for
// a task without exits.
std::string headline_of(const SweptTask& task);
Table strongest_table(const SweepResult& result);  // the same, one row a task
// Every fixed depth, and exits less it; speed at 95, 98, 99, 100 % of full depth. brief: as wide as a
// terminal of 120 columns.
Table baseline_table(const SweptTask& task, bool brief = false);
Table kept_table(const SweptTask& task, bool brief = false);
Table measure_table(const SweptTask& task);
Table calibration_table(const SweptTask& task);  // no rows for a task of scores
Table depth_table(const SweptTask& task);
Table moved_table(const SweepResult& result);
Table latency_table(const SweepResult& result);
Table gains_table(const SweepResult& result);  // gains.csv
// Policy files beside each other; no rows with fewer than two.
Table files_table(const SweptTask& task);
// What every route: file recorded of itself on held-out texts when it was fitted (fathom route):
// its gain over one mask for all, over 20 random masks, over the best of its masks for every text.
Table routing_table(const SweepResult& result);
Table guarantee_table(const SweepResult& result);
Table times_table(const SweepResult& result);
Table points_table(const SweepResult& result);  // results.csv
std::string to_html(const SweepResult& result);
// results.json, results.csv, gains.csv, exits.csv, report.html: all or none.
void expect_sweep(OutputSet& outputs, const std::filesystem::path& folder);
void write_sweep(const SweepResult& result, const std::filesystem::path& folder,
                 OutputSet& outputs);

}  // namespace fathom
