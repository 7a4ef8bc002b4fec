// SPDX-License-Identifier: Apache-2.0
// Calibration rows from another task. Training rows may differ from the rows to come: SST-2 trains
// on phrases and is evaluated on sentences. Thresholds are then calibrated on labelled rows of a
// task that is alike.
//
//   const CalibrateOn on = parse_calibrate_on("sst-binary:1000", find_task("sst2"));
//   Dataset rows = draw_calibration(on, root, 1);
//   leave_out_contained(train, rows);   // heads are not fitted on calibration rows
//   const size_t n_own = train.pairs.size();
//   append(train, rows);
//   const FitRows cut = part_rows_with(golds_of(train), n_own, 2, 2, 1);
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "eval/dataset.h"
#include "study/fit_heads.h"

namespace fathom {

struct CalibrateOn {
  const Task* task = nullptr;  // whose train split is drawn from
  size_t n = 1000;             // rows at most
};
// "TASK" or "TASK:N". Throws InvalidOption: no such task, or one whose texts and gold values are
// not those of `task`; a number that is none.
CalibrateOn parse_calibrate_on(const std::string& text, const Task& task);

// Throws as load_dataset().
Dataset draw_calibration(const CalibrateOn& on, const std::filesystem::path& root, uint64_t seed);

// Leaves out the rows of train with a text that is one of these texts or a run of words in one,
// whatever its case. Returns how many.
size_t leave_out_contained(Dataset& train, const Dataset& rows);

// Puts the rows behind those of train; they keep their own files and lines.
void append(Dataset& train, const Dataset& rows);

// The first n_own rows are cut as part_rows() cuts them, but none of them is kept for calibration:
// that is for the rows behind. n_own == gold.size(): part_rows() itself.
FitRows part_rows_with(std::span<const double> gold, size_t n_own, size_t n_class,
                       size_t n_calibration, uint64_t seed);

}  // namespace fathom
