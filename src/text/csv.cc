// SPDX-License-Identifier: Apache-2.0
#include "text/csv.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "text/text_file.h"

namespace fathom {
namespace {

constexpr size_t kLongestTabs = size_t{64} << 20, kLongestRow = size_t{1} << 30;

constexpr const char* kNeverClosed = "a quote opens a field and is never closed";

// Up to the end of the first line that is no part of a quoted field.
char separator_in(TextBuffer& text) {
  for (bool quoted = false, found = false;;) {
    quoted = false;
    for (const char c : text.view()) {
      if (c == '"') quoted = !quoted;
      found = !quoted && c == '\n';
      if (found) break;
    }
    if (found || !text.grow()) return separator_of(text.view());
  }
}

bool is_blank(std::string_view text) { return text.find_first_not_of("\r\n") == text.npos; }

}  // namespace

CsvRows::CsvRows(TextBuffer& text, const std::string& name, char separator)
    : text_(text), name_(name) {
  while (is_blank(text_.view()) && text_.grow()) {
  }
  FATHOM_REQUIRE(!is_blank(text_.view()), name_, ": the file is empty, expected a header line");
  separator_ = separator ? separator : separator_in(text_);
  CsvRow header;
  read_row(header);
  columns_ = std::move(header.fields);
  check_header();
}

void CsvRows::check_header() const {
  for (size_t i = 0; i < columns_.size(); ++i) {
    FATHOM_REQUIRE(columns_.size() == 1 || !columns_[i].empty(), name_, ", line 1: column ", i + 1,
                   " of the header has no name");
    const auto first = std::find(columns_.begin(), columns_.end(), columns_[i]);
    FATHOM_REQUIRE(first - columns_.begin() == static_cast<std::ptrdiff_t>(i), name_,
                   ", line 1: two columns are named '", columns_[i], "'");
  }
}

bool CsvRows::next(CsvRow& row) {
  const size_t width = columns_.size();
  while (!text_.view().empty() || text_.grow()) {
    read_row(row);
    const bool is_empty = row.fields.size() == 1 && row.fields[0].empty();
    if (is_empty && width > 1) continue;
    FATHOM_REQUIRE(row.fields.size() == width, name_, ", line ", row.line, ": expected ", width,
                   " fields as in the header, got ", row.fields.size());
    return true;
  }
  return false;
}

// Tried again with more of the text as long as the end of what is there may not be the row's.
void CsvRows::read_row(CsvRow& row) {
  const size_t line = line_, width = columns_.size();
  for (bool quotes = true;;) {
    view_ = text_.view();
    at_ = 0;
    line_ = line;
    saw_end_ = false;
    row.line = line;
    row.fields.clear();
    const char* wrong = read_fields(row, quotes);
    const bool may_go_on = saw_end_ && !text_.ended();
    if (may_go_on && is_lenient() && quotes && view_.size() > kLongestTabs) {
      quotes = false;
      continue;
    }
    if (may_go_on) {
      FATHOM_REQUIRE(view_.size() <= kLongestRow, name_, ", line ", line, ": ",
                     wrong ? "a quote opens a field and is not closed within 1 GiB"
                           : "a row of more than 1 GiB");
      text_.grow();
      continue;
    }
    const bool fits = width == 0 || row.fields.size() == width;
    if (wrong && !is_lenient()) throw Error(concat(name_, ", line ", line, ": ", wrong));
    if (!quotes || (!wrong && (fits || !is_lenient()))) break;
    quotes = false;
  }
  text_.take(at_);
}

// What is wrong with the row; nullptr: nothing.
const char* CsvRows::read_fields(CsvRow& row, bool quotes) {
  for (;;) {
    std::string& field = row.fields.emplace_back();
    if (quotes && !is_end(at_) && view_[at_] == '"') {
      if (const char* wrong = read_quoted(field)) return wrong;
    } else {
      read_plain(field);
    }
    if (is_end(at_)) return nullptr;
    const char c = view_[at_++];
    if (c == separator_) continue;
    if (c == '\r' && !is_end(at_) && view_[at_] == '\n') ++at_;
    ++line_;
    return nullptr;
  }
}

bool CsvRows::is_end(size_t at) {
  if (at < view_.size()) return false;
  saw_end_ = true;
  return true;
}

bool CsvRows::ends_field(size_t at) {
  if (is_end(at)) return true;
  const char c = view_[at];
  return c == separator_ || c == '\n' || (c == '\r' && (is_end(at + 1) || view_[at + 1] == '\n'));
}

void CsvRows::read_plain(std::string& field) {
  const size_t begin = at_;
  while (!ends_field(at_)) ++at_;
  field = view_.substr(begin, at_ - begin);
}

const char* CsvRows::read_quoted(std::string& field) {
  for (size_t i = at_ + 1; !is_end(i); ++i) {
    line_ += view_[i] == '\n';
    if (view_[i] != '"') {
      field += view_[i];
    } else if (!is_end(i + 1) && view_[i + 1] == '"') {
      field += '"';
      ++i;
    } else {
      at_ = i + 1;
      return ends_field(at_) ? nullptr
                             : "text behind a closing quote; expected a separator or \"\"";
    }
  }
  return kNeverClosed;
}

char separator_of(std::string_view text) {
  size_t count[3] = {};
  constexpr std::string_view kSeparators = ",;\t";
  bool quoted = false;
  for (char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '\n') break;
    if (const size_t i = kSeparators.find(c); i != kSeparators.npos) ++count[i];
  }
  return kSeparators[static_cast<size_t>(std::max_element(count, count + 3) - count)];
}

CsvTable read_csv(std::string_view text, const std::string& name, char separator) {
  MemoryParts parts(text);
  TextBuffer buffer(parts);
  CsvRows rows(buffer, name, separator);
  CsvTable table{rows.columns(), {}};
  for (CsvRow row; rows.next(row);) table.rows.push_back(std::move(row));
  return table;
}

}  // namespace fathom
