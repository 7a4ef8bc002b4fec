// SPDX-License-Identifier: Apache-2.0
// Pages of results for which the program prints tables alone.
#pragma once

#include <string>

#include "study/advise_task.h"
#include "study/fit_result.h"
#include "study/prune.h"

namespace fathom::python {

std::string fit_page(const FitResult& result);
std::string advise_page(const AdvisedPolicy& advised, const Task& task, const AdviceTarget& target);
std::string prune_page(const PruneResult& result);

}  // namespace fathom::python
