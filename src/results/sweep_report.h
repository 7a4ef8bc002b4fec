// SPDX-License-Identifier: Apache-2.0
// What a sweep found, as files and as tables. It is made from the kept parts (sweep_parts.h) alone,
// so a resumed sweep writes what an uninterrupted one does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/output_set.h"
#include "report/table.h"

namespace fathom::cli {

struct SweptTask {
  std::string name, title, metric, split;
  size_t n_evaluated = 0, n_heads = 0, n_calibration = 0;
  std::vector<OrderedJson> results;  // a part of each policy, with "times" if measured
  std::vector<std::string> notes;
  OrderedJson left_out = {};  // rows of each split
};

struct SweepReport {
  std::string command;
  OrderedJson model, settings;
  size_t n_layer = 0;
  std::vector<SweptTask> tasks;
  std::vector<std::string> missing;  // "wnli: missing: train (...)"
};

// Score over the fixed curve and speed-ups, one row a policy.
Table score_table(const SweptTask& task);
// Means over the tasks that have a policy.
Table macro_table(const SweepReport& report);
// Does leaving early where the model is sure beat the best fixed layer? One row a task, for the
// measure and the operating point that calibration rows choose.
Table answer_table(const SweepReport& report);
// Policy files beside each other; no rows with fewer than two.
Table files_table(const SweptTask& task);
// What every route: file recorded of itself on held-out texts when it was fitted (fathom route):
// its gain over one mask for all, over 20 random masks, over the best of its masks for every text.
Table routing_table(const SweepReport& report);
Table guarantee_table(const SweepReport& report);
Table times_table(const SweepReport& report);
OrderedJson to_json(const SweepReport& report);
// nullptr if the task has it not.
const OrderedJson* find_result(const SweptTask& task, const std::string& policy);
Table points_table(const SweepReport& report);  // results.csv
std::string to_html(const SweepReport& report);
// results.json, results.csv, exits.csv, report.html: all or none.
void expect_sweep(OutputSet& outputs, const std::filesystem::path& folder);
void write_sweep(const SweepReport& report, const std::filesystem::path& folder,
                 OutputSet& outputs);

}  // namespace fathom::cli
