// SPDX-License-Identifier: Apache-2.0
// What was advised, for people.
#pragma once

#include <string>

#include "study/advise_task.h"

namespace fathom {

// What was chosen for the task and what to expect of it, a line for each set of rows.
std::string to_text(const AdvisedPolicy& advised, const Task& task, const AdviceTarget& target);

}  // namespace fathom
