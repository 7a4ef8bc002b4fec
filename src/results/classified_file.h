// SPDX-License-Identifier: Apache-2.0
// What `fathom classify` found, as a table: for the terminal, .csv and .jsonl.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "report/table.h"
#include "study/classify.h"

namespace fathom {

// line, id, text, text2, truth, label, confidence, exit_layer, flops_share.
Table classified_table(const ClassifiedRows& rows, std::span<const Classified> classified);
// "60 texts: layer 2.10 of 12 on average, 23 % of the FLOPs; 54 as given, accuracy 0.900"
std::string summary_of(const ClassifiedRows& rows, std::span<const Classified> classified,
                       size_t n_layer);
// ending: ".csv" or ".jsonl". Throws UsageError for another.
void check_table_ending(const std::string& path);
std::string write_table(const Table& table, const std::string& path);

}  // namespace fathom
