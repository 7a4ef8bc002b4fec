// SPDX-License-Identifier: Apache-2.0
// Lists of task names, as `fathom eval` and `fathom sweep` take them.
#pragma once

#include <string>
#include <vector>

#include "eval/dataset.h"

namespace fathom {

// "mrpc,stsb" in the order given; "all" is every task but those for show. Throws UsageError that
// names `flag`: no task, or one given twice; UsageError of find_task().
std::vector<const Task*> parse_tasks(const std::string& flag, const std::string& text);

// The names of all tasks, with commas between.
std::string task_names();

// Of several tasks those whose data the root may hold (tasks_of_folder()); one alone stays, and its
// reader says what it misses.
std::vector<const Task*> tasks_in(std::vector<const Task*> chosen,
                                  const std::filesystem::path& root);

}  // namespace fathom
