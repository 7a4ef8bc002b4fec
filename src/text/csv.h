// SPDX-License-Identifier: Apache-2.0
// Tables of text with a header: comma-separated as RFC 4180 has it, or with tabs.
//
// A field that begins with a quote ends at the next single one; "" stands for ", and separators and
// line ends may lie between. Spreadsheets of some countries write semicolons into a .csv: what
// separates the header's names most often, outside quotes, separates the fields.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

struct CsvRow {
  size_t line = 0;  // of its first field, from 1
  std::vector<std::string> fields;
};

struct CsvTable {
  std::vector<std::string> columns;  // the header; names are unique and not empty
  std::vector<CsvRow> rows;          // each as wide as the header; empty lines are left out
};

// Comma or semicolon or tab: see above. `text` without a byte-order mark.
char separator_of(std::string_view text);

// Throws Error naming `name` and the line: no header, a column without a name or one named twice, a
// row of another width, a quote that is not closed or is followed by text. In a table with tabs a
// quote that is none, because it does not close in front of a tab or a line end or because the row would
// then not fit, is a character like any other, as in files that were written without quoting.
CsvTable read_csv(std::string_view text, const std::string& name, char separator);

}  // namespace fathom
