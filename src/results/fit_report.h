// SPDX-License-Identifier: Apache-2.0
// What was fitted, as a table and as files.
#pragma once

#include <span>
#include <string>

#include "base/atomic_file.h"
#include "depth/policy_file.h"
#include "report/table.h"
#include "results/closing.h"
#include "study/fit_exit.h"
#include "study/fit_result.h"

namespace fathom {

// One row a layer, then the baselines: the task's metrics on the evaluated split, C and temperature.
Table curve_table(const FitResult& result);

// All heads, prototypes, post-processings and learned-to-exit: safetensors with arrays
// "layer.<name>.head.weight", ... and `about` and the curve in __metadata__ under "fathom_heads".
void write_heads(AtomicFile& out, const FitResult& result);

// What is known without a policy: about, notes and, of a task, the curve and the baselines.
OrderedJson to_json(const FitResult& result, const std::vector<std::string>& notes);

// Of an exit policy that was fitted for this target. task: nullptr for texts without labels.
Closing closing_of(const PolicyFile& file, const ExitTarget& target, const Task* task,
                   const CommandPlaces& places);
// Of heads alone: the best layer. Needs a task. places.output: the file of heads.
Closing closing_of(const FitResult& result, size_t n_evaluated, const CommandPlaces& places);

// A submission for GLUE's server: index and prediction of every row. predicted: classes or scores.
std::string submission_text(const Task& task, std::span<const double> predicted);

}  // namespace fathom
