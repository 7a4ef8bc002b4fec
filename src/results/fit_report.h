// SPDX-License-Identifier: Apache-2.0
// What was fitted, as a table and as files.
#pragma once

#include <span>
#include <string>

#include "base/atomic_file.h"
#include "report/table.h"
#include "study/fit_result.h"

namespace fathom {

// One row a layer, then the baselines: the task's metrics on the evaluated split, C and temperature.
Table curve_table(const FitResult& result);

// All heads, prototypes, post-processings and learned-to-exit: safetensors with arrays
// "layer.<name>.head.weight", ... and `about` and the curve in __metadata__ under "fathom_heads".
void write_heads(AtomicFile& out, const FitResult& result);

// A submission for GLUE's server: index and prediction of every row. predicted: classes or scores.
std::string submission_text(const Task& task, std::span<const double> predicted);

}  // namespace fathom
