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

#include "text/text_buffer.h"

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

// The rows of a table, one after the other: no more of it is held than a row and the parts in which
// it comes. One thread at a time.
class CsvRows {
 public:
  // `text` and `name` must outlive it. separator: as separator_of() finds it, unless it is given.
  // Throws Error as read_csv() does for a header.
  CsvRows(TextBuffer& text, const std::string& name, char separator = 0);

  const std::vector<std::string>& columns() const { return columns_; }
  // The next row; false behind the last. Throws as read_csv(); and for a quote of a table without
  // tabs that is not closed within 1 GiB. In one with tabs such a quote is none from 64 MiB on.
  bool next(CsvRow& row);

 private:
  void check_header() const;
  void read_row(CsvRow& row);
  const char* read_fields(CsvRow& row, bool quotes);
  bool is_end(size_t at);
  bool ends_field(size_t at);
  void read_plain(std::string& field);
  const char* read_quoted(std::string& field);
  bool is_lenient() const { return separator_ == '\t'; }

  TextBuffer& text_;
  const std::string& name_;
  char separator_;
  std::vector<std::string> columns_;
  std::string_view view_;
  size_t at_ = 0, line_ = 1;
  bool saw_end_ = false;  // of what is there, which may not be the end of the text
};

// Throws Error naming `name` and the line: no header, a column without a name or one named twice, a
// row of another width, a quote that is not closed or is followed by text. In a table with tabs a
// quote that is none, because it does not close in front of a tab or a line end or because the row would
// then not fit, is a character like any other, as in files that were written without quoting.
CsvTable read_csv(std::string_view text, const std::string& name, char separator);

}  // namespace fathom
