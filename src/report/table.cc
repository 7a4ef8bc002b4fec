// SPDX-License-Identifier: Apache-2.0
#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/utf8.h"
#include "report/text.h"

namespace fathom {
namespace {

constexpr size_t kGap = 2;            // spaces between terminal columns
constexpr size_t kLeastColumns = 16;  // a text column is not cut below this

std::string pad(const std::string& text, size_t width, bool right) {
  const size_t used = display_width(text);
  std::string out = text;
  out.insert(right ? 0 : text.size(), width > used ? width - used : 0, ' ');
  return out;
}

std::string heading(const Table& table, size_t column) {
  const std::string unit = table.heading_unit(column);
  return unit.empty() ? table.title(column) : fmt::format("{} ({})", table.title(column), unit);
}

// The table as it is printed: headings and cells as text, and the width of each column.
struct Printed {
  std::vector<std::string> heading;
  std::vector<std::vector<std::string>> cell;  // (rows, columns)
  std::vector<size_t> width;
};

Printed print_cells(const Table& table) {
  const size_t n_column = table.columns().size();
  Printed out;
  out.cell.assign(table.rows().size(), std::vector<std::string>(n_column));
  for (size_t c = 0; c < n_column; ++c) {
    const auto marked = [&](const auto& row) { return row[c].is_emphasised(); };
    const bool any_marked = std::any_of(table.rows().begin(), table.rows().end(), marked);
    // Numbers stay in line when only some of them have a star.
    const bool keep_line = any_marked && table.is_right_aligned(c);
    out.heading.push_back(printable(heading(table, c)) + (keep_line ? " " : ""));
    size_t width = display_width(out.heading.back());
    for (size_t r = 0; r < table.rows().size(); ++r) {
      const Cell& cell = table.rows()[r][c];
      std::string text = printable(cell.display(table.columns()[c].unit));
      if (cell.is_emphasised()) {
        text += '*';
      } else if (keep_line) {
        text += ' ';
      }
      width = std::max(width, display_width(text));
      out.cell[r][c] = std::move(text);
    }
    out.width.push_back(width);
  }
  return out;
}

size_t line_width(const std::vector<size_t>& width) {
  return std::accumulate(width.begin(), width.end(), kGap * (width.size() - 1));
}

// Takes from the widest text columns what the line has too much.
void cut_text_columns(const Table& table, Printed& printed, size_t line) {
  while (line_width(printed.width) > line) {
    size_t widest = table.columns().size();
    for (size_t c = 0; c < table.columns().size(); ++c) {
      const size_t least = std::max(kLeastColumns, display_width(printed.heading[c]));
      if (table.is_right_aligned(c) || printed.width[c] <= least) continue;
      if (widest == table.columns().size() || printed.width[c] > printed.width[widest]) widest = c;
    }
    if (widest == table.columns().size()) return;
    --printed.width[widest];
  }
}

std::string print_block(const Table& table, const Printed& printed,
                        const std::vector<size_t>& columns) {
  std::string out;
  const auto add_line = [&](auto&& text_of) {
    std::string line;
    for (const size_t c : columns) {
      if (c != columns.front()) line.append(kGap, ' ');
      line +=
          pad(shorten(text_of(c), printed.width[c]), printed.width[c], table.is_right_aligned(c));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  const auto add_rule = [&] {
    add_line([&](size_t c) { return std::string(printed.width[c], '-'); });
  };
  add_line([&](size_t c) { return printed.heading[c]; });
  add_rule();
  for (size_t r = 0; r < printed.cell.size(); ++r) {
    if (table.has_rule_before(r)) add_rule();
    add_line([&](size_t c) { return printed.cell[r][c]; });
  }
  return out;
}

std::string escape_markdown(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) {
    if (std::string_view("\\|*_`<>[]").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

// A field for CSV, before quoting.
std::string exact_text(const Cell& cell) {
  struct Write {
    std::string operator()(std::monostate) const { return ""; }
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return format_number(number, {}); }
  };
  return std::visit(Write{}, cell.value());
}

OrderedJson json_number(double number) {
  if (std::isnan(number)) return nullptr;
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  return number;
}

OrderedJson json_value(const Cell& cell) {
  struct Write {
    OrderedJson operator()(std::monostate) const { return nullptr; }
    OrderedJson operator()(const std::string& text) const {
      return replace_ill_formed(text);  // JSON has no other text than UTF-8
    }
    OrderedJson operator()(int64_t number) const { return number; }
    OrderedJson operator()(double number) const { return json_number(number); }
  };
  return std::visit(Write{}, cell.value());
}

}  // namespace

Cell::Cell() = default;
Cell::Cell(const Cell&) = default;
Cell::Cell(Cell&&) noexcept = default;
Cell& Cell::operator=(const Cell&) = default;
Cell& Cell::operator=(Cell&&) noexcept = default;
Cell::~Cell() = default;

Cell Cell::between(double low, double high) && {
  FATHOM_ASSERT(std::holds_alternative<double>(value_));
  interval_ = {low, high};
  return std::move(*this);
}

Cell Cell::resolved_to(double bound) && {
  FATHOM_ASSERT(std::holds_alternative<double>(value_));
  resolution_ = bound;
  return std::move(*this);
}

Cell Cell::emphasised(bool on) && {
  emphasised_ = on;
  return std::move(*this);
}

bool Cell::has_si_notation() const {
  return std::holds_alternative<double>(value_) && format_.notation == Notation::kSi;
}

std::string Cell::display(std::string_view unit, std::string_view micro) const {
  if (is_missing()) return "-";
  const double* number = std::get_if<double>(&value_);
  if (!number) return exact_text(*this);
  const auto show = [&](double v) {
    std::string text = format_number(v, format_);
    if (!has_si_notation() || !std::isfinite(v)) return text;
    if (text.back() == 'u') text.replace(text.size() - 1, 1, micro);
    if (unit.empty()) return text;
    // "12.3 ms", but "123 s": without a prefix the blank is still to come.
    const bool has_prefix = text.find(' ') != text.npos;
    return text.append(has_prefix ? "" : " ").append(unit);
  };
  if (resolution_ && *number < *resolution_) return "< " + show(*resolution_);
  std::string text = show(*number);
  const bool shown = interval_ && !std::isnan(interval_->first) && !std::isnan(interval_->second);
  if (shown) {
    text += fmt::format(" [{}, {}]", show(interval_->first), show(interval_->second));
  }
  return text;
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  FATHOM_ASSERT(!columns_.empty());
  for (size_t c = 0; c < columns_.size(); ++c) {
    for (size_t other = 0; other < c; ++other) {
      FATHOM_ASSERT(columns_[c].name != columns_[other].name);
    }
  }
}

void Table::add(std::vector<Cell> row) {
  FATHOM_ASSERT(row.size() == columns_.size());
  rows_.push_back(std::move(row));
}

void Table::add_rule() { rules_.push_back(rows_.size()); }

bool Table::has_rule_before(size_t row) const {
  return row > 0 && std::find(rules_.begin(), rules_.end(), row) != rules_.end();
}

std::string Table::title(size_t column) const {
  const Column& c = columns_[column];
  return c.title.empty() ? c.name : c.title;
}

std::string Table::heading_unit(size_t column) const {
  const bool in_cells = std::any_of(rows_.begin(), rows_.end(),
                                    [&](const auto& row) { return row[column].has_si_notation(); });
  return in_cells ? "" : columns_[column].unit;
}

bool Table::is_right_aligned(size_t column) const {
  if (columns_[column].align != Align::kAuto) return columns_[column].align == Align::kRight;
  bool any_number = false;
  for (const auto& row : rows_) {
    if (row[column].is_text()) return false;
    any_number |= !row[column].is_missing();
  }
  return any_number;
}

bool Table::has_intervals(size_t column) const {
  return std::any_of(rows_.begin(), rows_.end(),
                     [&](const auto& row) { return row[column].interval().has_value(); });
}

Table without_empty_columns(const Table& table) {
  std::vector<size_t> kept;
  std::vector<Column> columns;
  for (size_t c = 0; c < table.columns().size(); ++c) {
    const bool any = std::any_of(table.rows().begin(), table.rows().end(),
                                 [&](const auto& row) { return !row[c].is_missing(); });
    if (c > 0 && !any) continue;
    kept.push_back(c);
    columns.push_back(table.columns()[c]);
  }
  Table out(std::move(columns));
  for (size_t r = 0; r < table.rows().size(); ++r) {
    if (table.has_rule_before(r)) out.add_rule();
    std::vector<Cell> row;
    for (const size_t c : kept) row.push_back(table.rows()[r][c]);
    out.add(std::move(row));
  }
  return out;
}

std::string to_text(const Table& table, size_t width) {
  Printed printed = print_cells(table);
  cut_text_columns(table, printed, width);
  std::string out;
  for (size_t next = 0; next < table.columns().size();) {
    std::vector<size_t> block;
    size_t used = 0;
    if (next > 0) {
      block.push_back(0);
      used = printed.width[0] + kGap;
      out += '\n';
    }
    // At least one new column per block, however wide it is.
    for (bool first = true; next < table.columns().size(); ++next, first = false) {
      if (!first && used + printed.width[next] > width) break;
      block.push_back(next);
      used += printed.width[next] + kGap;
    }
    out += print_block(table, printed, block);
  }
  return out;
}

std::string to_markdown(const Table& table) {
  const size_t n_column = table.columns().size();
  std::string out = "|", line = "|";
  for (size_t c = 0; c < n_column; ++c) {
    out += fmt::format(" {} |", escape_markdown(heading(table, c)));
    line += table.is_right_aligned(c) ? " ---: |" : " --- |";
  }
  out += fmt::format("\n{}\n", line);
  for (const auto& row : table.rows()) {
    out += "|";
    for (size_t c = 0; c < n_column; ++c) {
      const Cell& cell = row[c];
      const std::string text = escape_markdown(cell.display(table.columns()[c].unit));
      out += cell.is_emphasised() ? fmt::format(" **{}** |", text) : fmt::format(" {} |", text);
    }
    out += "\n";
  }
  return out;
}

std::string to_csv(const Table& table) {
  std::string out;
  const size_t n_column = table.columns().size();
  for (size_t c = 0; c < n_column; ++c) {
    const std::string& name = table.columns()[c].name;
    if (c > 0) out += ',';
    out += csv_field(name);
    if (!table.has_intervals(c)) continue;
    out += fmt::format(",{},{}", csv_field(name + "_low"), csv_field(name + "_high"));
  }
  out += '\n';
  for (const auto& row : table.rows()) {
    for (size_t c = 0; c < n_column; ++c) {
      if (c > 0) out += ',';
      out += csv_field(exact_text(row[c]));
      if (!table.has_intervals(c)) continue;
      const auto& interval = row[c].interval();
      out += interval ? fmt::format(",{},{}", format_number(interval->first, {}),
                                    format_number(interval->second, {}))
                      : ",,";
    }
    // An empty line would be no record at all.
    if (n_column == 1 && !table.has_intervals(0) && out.back() == '\n') out += "\"\"";
    out += '\n';
  }
  return out;
}

OrderedJson to_json(const Table& table) {
  OrderedJson rows = OrderedJson::array();
  for (const auto& row : table.rows()) {
    OrderedJson object = OrderedJson::object();
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string& name = table.columns()[c].name;
      object[name] = json_value(row[c]);
      if (!table.has_intervals(c)) continue;
      const auto& interval = row[c].interval();
      object[name + "_low"] = interval ? json_number(interval->first) : OrderedJson(nullptr);
      object[name + "_high"] = interval ? json_number(interval->second) : OrderedJson(nullptr);
    }
    rows.push_back(std::move(object));
  }
  return rows;
}

}  // namespace fathom
