// SPDX-License-Identifier: Apache-2.0
// What was advised, for people.
#pragma once

#include <string>

#include "results/closing.h"
#include "study/advise_task.h"
#include "study/sweep_check.h"

namespace fathom {

// What the calibration rows can certify, one line, before the work; "" where nothing is promised.
std::string to_text(const AdviceResolution& resolution, const Task& task,
                    const AdviceTarget& target);
// Warnings first; then what was chosen for the task and what to expect of it, a line for each set of rows.
std::string to_text(const AdvisedPolicy& advised, const Task& task, const AdviceTarget& target);

// Of the same rows, beside full depth: one line.
std::string to_text(const PointTime& timed);
OrderedJson to_json(const AdvisedPolicy& advised, const PointTime& timed, const Task& task,
                    const CommandPlaces& places);

// Without the warnings that to_text() begins with.
Closing closing_of(const AdvisedPolicy& advised, const Task& task, const CommandPlaces& places);

}  // namespace fathom
