// SPDX-License-Identifier: Apache-2.0
// Rows of a tab-separated file, plain or with quoted fields.
//
// GLUE's and SentEval's files are plain: a quote is a character like any other, and every reader of
// them takes it so. Quora's own file of questions quotes as CSV does: a field that begins with a
// quote ends at the next single one, "" stands for ", and tabs and line ends may lie between.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

struct TsvRow {
  size_t line = 0;  // of its first field, from 1
  std::vector<std::string_view> fields;
};

// Fields are views into the text that was read and into `unquoted`; moving keeps them valid.
struct TsvTable {
  std::vector<TsvRow> rows;  // without empty ones at the end
  // Quoted reading: fields that begin with a quote that is never closed as it should be. Their line
  // is read as a plain one.
  size_t n_stray = 0;
  std::deque<std::string> unquoted;

  TsvTable() = default;
  TsvTable(TsvTable&&) = default;
  TsvTable& operator=(TsvTable&&) = default;
};

TsvTable read_plain_tsv(std::string_view text);
TsvTable read_quoted_tsv(std::string_view text);

}  // namespace fathom
