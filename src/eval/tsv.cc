// SPDX-License-Identifier: Apache-2.0
#include "eval/tsv.h"

#include <algorithm>
#include <optional>

#include "text/text_file.h"

namespace fathom {
namespace {

// A quote that is not closed within so many bytes is no quoted field: keeps the reader linear.
constexpr size_t kLongestField = size_t{1} << 20;

void drop_empty_end(TsvTable& table) {
  const auto is_empty = [](const TsvRow& row) {
    return std::ranges::all_of(row.fields, [](std::string_view f) { return f.empty(); }) &&
           row.fields.size() <= 1;
  };
  while (!table.rows.empty() && is_empty(table.rows.back())) table.rows.pop_back();
}

// Reads a text with quoted fields, row by row.
class QuotedReader {
 public:
  QuotedReader(std::string_view text, TsvTable& out)
      : text_(without_byte_order_mark(text)), out_(out) {}

  void run() {
    while (at_ < text_.size()) {
      const size_t begin = at_, line = line_;
      TsvRow row{line, {}};
      if (!read_row(row)) {
        ++out_.n_stray;
        at_ = begin;
        line_ = line;
        row.fields = split_tabs(plain_line());
      }
      out_.rows.push_back(std::move(row));
    }
  }

 private:
  // false: a quoted field in it does not end.
  bool read_row(TsvRow& row) {
    for (;;) {
      const bool quoted = at_ < text_.size() && text_[at_] == '"';
      if (!(quoted ? read_quoted(row) : read_plain(row))) return false;
      if (at_ == text_.size()) return true;
      const bool ends_row = text_[at_] == '\n';
      ++at_;
      if (!ends_row) continue;
      ++line_;
      return true;
    }
  }

  bool read_plain(TsvRow& row) {
    const size_t end = std::min(text_.find_first_of("\t\n", at_), text_.size());
    std::string_view field = text_.substr(at_, end - at_);
    const bool ends_row = end == text_.size() || text_[end] == '\n';
    if (ends_row && field.ends_with('\r')) field.remove_suffix(1);
    row.fields.push_back(field);
    at_ = end;
    return true;
  }

  bool read_quoted(TsvRow& row) {
    std::string value;
    const size_t limit = std::min(text_.size(), at_ + kLongestField);
    for (size_t i = at_ + 1; i < limit; ++i) {
      if (text_[i] != '"') {
        value += text_[i];
        continue;
      }
      if (i + 1 < text_.size() && text_[i + 1] == '"') {
        value += '"';
        ++i;
        continue;
      }
      return end_field(i + 1, value, row);
    }
    return false;
  }

  // A closing quote has to stand in front of a tab or the end of a line.
  bool end_field(size_t end, std::string& value, TsvRow& row) {
    if (end < text_.size() && text_[end] == '\r' &&
        (end + 1 == text_.size() || text_[end + 1] == '\n'))
      ++end;
    if (end < text_.size() && text_[end] != '\t' && text_[end] != '\n') return false;
    line_ += static_cast<size_t>(std::ranges::count(text_.substr(at_, end - at_), '\n'));
    row.fields.push_back(out_.unquoted.emplace_back(std::move(value)));
    at_ = end;
    return true;
  }

  std::string_view plain_line() {
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view line = text_.substr(at_, end - at_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at_ = std::min(end + 1, text_.size());
    ++line_;
    return line;
  }

  std::string_view text_;
  TsvTable& out_;
  size_t at_ = 0, line_ = 1;
};

}  // namespace

TsvTable read_plain_tsv(std::string_view text) {
  TsvTable table;
  size_t number = 0;
  for (std::string_view line : split_lines(text))
    table.rows.push_back({++number, split_tabs(line)});
  drop_empty_end(table);
  return table;
}

TsvTable read_quoted_tsv(std::string_view text) {
  TsvTable table;
  QuotedReader(text, table).run();
  drop_empty_end(table);
  return table;
}

}  // namespace fathom
