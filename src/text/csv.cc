// SPDX-License-Identifier: Apache-2.0
#include "text/csv.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "text/text_file.h"

namespace fathom {
namespace {

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& name, char separator)
      : text_(text), name_(name), separator_(separator) {}

  CsvTable read() {
    CsvTable table;
    FATHOM_REQUIRE(text_.find_first_not_of("\r\n") != text_.npos, name_,
                   ": the file is empty, expected a header line");
    table.columns = next_row().fields;
    check_header(table.columns);
    width_ = table.columns.size();
    while (at_ < text_.size()) {
      CsvRow row = next_row();
      const bool is_empty = row.fields.size() == 1 && row.fields[0].empty();
      if (is_empty && width_ > 1) continue;
      FATHOM_REQUIRE(row.fields.size() == width_, name_, ", line ", row.line, ": expected ", width_,
                     " fields as in the header, got ", row.fields.size());
      table.rows.push_back(std::move(row));
    }
    return table;
  }

 private:
  bool is_lenient() const { return separator_ == '\t'; }

  void check_header(const std::vector<std::string>& columns) const {
    for (size_t i = 0; i < columns.size(); ++i) {
      FATHOM_REQUIRE(columns.size() == 1 || !columns[i].empty(), name_, ", line 1: column ", i + 1,
                     " of the header has no name");
      const auto first = std::find(columns.begin(), columns.end(), columns[i]);
      FATHOM_REQUIRE(first - columns.begin() == static_cast<std::ptrdiff_t>(i), name_,
                     ", line 1: two columns are named '", columns[i], "'");
    }
  }

  CsvRow next_row() {
    const size_t begin = at_, line = line_;
    CsvRow row{line, {}};
    const char* wrong = read_fields(row, true);
    if (!wrong && (width_ == 0 || row.fields.size() == width_ || !is_lenient())) return row;
    if (wrong && !is_lenient()) throw Error(concat(name_, ", line ", line, ": ", wrong));
    at_ = begin;
    line_ = line;
    row.fields.clear();
    read_fields(row, false);
    return row;
  }

  // What is wrong with the row; nullptr: nothing.
  const char* read_fields(CsvRow& row, bool quotes) {
    for (;;) {
      std::string& field = row.fields.emplace_back();
      if (quotes && at_ < text_.size() && text_[at_] == '"') {
        if (const char* wrong = read_quoted(field)) return wrong;
      } else {
        read_plain(field);
      }
      if (at_ == text_.size()) return nullptr;
      const char c = text_[at_++];
      if (c == separator_) continue;
      if (c == '\r' && at_ < text_.size() && text_[at_] == '\n') ++at_;
      ++line_;
      return nullptr;
    }
  }

  bool ends_field(size_t at) const {
    return at == text_.size() || text_[at] == separator_ || text_[at] == '\n' ||
           (text_[at] == '\r' && (at + 1 == text_.size() || text_[at + 1] == '\n'));
  }

  void read_plain(std::string& field) {
    const size_t begin = at_;
    while (!ends_field(at_)) ++at_;
    field = text_.substr(begin, at_ - begin);
  }

  const char* read_quoted(std::string& field) {
    for (size_t i = at_ + 1; i < text_.size(); ++i) {
      line_ += text_[i] == '\n';
      if (text_[i] != '"') {
        field += text_[i];
      } else if (i + 1 < text_.size() && text_[i + 1] == '"') {
        field += '"';
        ++i;
      } else {
        at_ = i + 1;
        return ends_field(at_) ? nullptr
                               : "text behind a closing quote; expected a separator or \"\"";
      }
    }
    return "a quote opens a field and is never closed";
  }

  std::string_view text_;
  const std::string& name_;
  char separator_;
  size_t at_ = 0, line_ = 1, width_ = 0;
};

}  // namespace

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
  return CsvReader(without_byte_order_mark(text), name, separator).read();
}

}  // namespace fathom
