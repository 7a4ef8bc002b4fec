// SPDX-License-Identifier: Apache-2.0
#include "eval/task_list.h"

#include <algorithm>

#include "base/error.h"
#include "base/list.h"
#include "eval/whose_folder.h"

namespace fathom {

std::vector<const Task*> parse_tasks(const std::string& flag, const std::string& text) {
  if (text.empty() || text == ",") throw UsageError(concat(flag, ": expected at least one"));
  std::vector<const Task*> chosen;
  if (text == "all") {
    for (const Task& task : tasks()) {
      if (!task.for_show) chosen.push_back(&task);
    }
    return chosen;
  }
  for (std::string_view name : split_commas(text)) {
    chosen.push_back(&find_task(std::string(name)));
    if (std::ranges::count(chosen, chosen.back()) > 1)
      throw UsageError(concat(flag, ": ", chosen.back()->name, " is given twice"));
  }
  return chosen;
}

std::string task_names() {
  std::vector<std::string_view> names;
  for (const Task& task : tasks()) names.push_back(task.name);
  return join(names);
}

std::vector<const Task*> tasks_in(std::vector<const Task*> chosen,
                                  const std::filesystem::path& root) {
  std::vector<const Task*> published;
  for (const Task* task : chosen)
    if (!task->own) published.push_back(task);
  if (published.size() > 1) published = tasks_of_folder(published, root);
  std::erase_if(chosen, [&](const Task* task) {
    return !task->own && std::ranges::find(published, task) == published.end();
  });
  return chosen;
}

}  // namespace fathom
