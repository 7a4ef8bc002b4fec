// SPDX-License-Identifier: Apache-2.0
// A task's own folder may be given as the data root. Several tasks have a dev.tsv or a test.jsonl
// there; this finds out whose it is.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "eval/dataset.h"

namespace fathom {

// Those of the tasks, in their order, that may be read with load_dataset() from this root. Left out
// are those that would take another task's file for their own: where several tasks have files of
// one name in the root itself, the folder's name decides ("RTE"), else which of them can read it.
// A task that finds nothing at all is kept. Throws Error that names the file: none of them can read
// it; UsageError: several can, such as tasks with the same columns.
std::vector<const Task*> tasks_of_folder(std::span<const Task* const> chosen,
                                         const std::filesystem::path& root);

}  // namespace fathom
