// SPDX-License-Identifier: Apache-2.0
// Table: rows of text and numbers, written for people (terminal, Markdown; html.h for pages) and
// for programs (CSV, JSON). What a row means is not known here.
//
// People get rounded numbers, "0.3944 [0.3012, 0.4821]" for an interval and titles with units;
// programs get every digit, column names, and an interval as two more columns <name>_low,
// <name>_high.
//
//   Table t({{.name = "layer", .title = "Layer"}, {.name = "spearman", .title = "Spearman"}});
//   t.add({"0", Cell(0.39441, fixed(4)).between(0.3012, 0.4821)});
//   std::cout << to_text(t);
//
// Writers are pure functions; a Table is built by one thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "report/number.h"

namespace fathom {

enum class Align { kAuto, kLeft, kRight };  // kAuto: right where the column holds numbers

struct Column {
  std::string name;        // for programs: "seconds_per_pair"
  std::string title = "";  // for people; empty: the name
  std::string unit = "";   // a symbol, "s": after the title, or in SI notation after each number
  Align align = Align::kAuto;
};

struct Missing {};
constexpr Missing missing;

// One value. Missing is "-" for people, empty in CSV, null in JSON; nan and infinities are written
// as such, but in JSON nan is null and infinities are "inf" and "-inf".
class Cell {
 public:
  // Defined in table.cc: inlined, g++ 12 takes the variant's destructor for a read of unset memory.
  Cell();
  Cell(const Cell&);
  Cell(Cell&&) noexcept;
  Cell& operator=(const Cell&);
  Cell& operator=(Cell&&) noexcept;
  ~Cell();

  Cell(Missing) {}
  Cell(std::string text) : value_(std::move(text)) {}
  Cell(std::string_view text) : value_(std::string(text)) {}
  Cell(const char* text) : value_(std::string(text)) {}
  Cell(double number, NumberFormat format = {}) : value_(number), format_(format) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) Cell(T number) : value_(static_cast<int64_t>(number)) {
    FATHOM_ASSERT(std::in_range<int64_t>(number));
  }

  // With an interval around the number, shown in the number's format.
  Cell between(double low, double high) &&;
  // People read a number below the bound as "< bound": a p-value of which resampling cannot say
  // more. Programs get the number.
  Cell resolved_to(double bound) &&;
  // Set off from the others: the best of a column. "*" on the terminal, bold elsewhere.
  Cell emphasised(bool on = true) &&;

  using Value = std::variant<std::monostate, std::string, int64_t, double>;
  const Value& value() const { return value_; }
  const std::optional<std::pair<double, double>>& interval() const { return interval_; }
  bool is_emphasised() const { return emphasised_; }
  bool is_missing() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_text() const { return std::holds_alternative<std::string>(value_); }

  // As people read it: rounded, with its interval. `unit` is set after a number in SI notation;
  // `micro` is the prefix for 1e-6.
  std::string display(std::string_view unit = "", std::string_view micro = "u") const;
  bool has_si_notation() const;

 private:
  Value value_;
  NumberFormat format_;
  std::optional<std::pair<double, double>> interval_;
  std::optional<double> resolution_;
  bool emphasised_ = false;
};

class Table {
 public:
  // Needs at least one column; names are unique.
  explicit Table(std::vector<Column> columns);

  // One cell per column.
  void add(std::vector<Cell> row);
  // A line between the rows before and after, where people read it (GloVe below the layers).
  void add_rule();

  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<std::vector<Cell>>& rows() const { return rows_; }
  bool has_rule_before(size_t row) const;

  std::string title(size_t column) const;
  std::string heading_unit(size_t column) const;  // empty where the cells show it: "1.12 ms"
  bool is_right_aligned(size_t column) const;
  bool has_intervals(size_t column) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
  std::vector<size_t> rules_;  // before these rows
};

// The table without columns in which every cell is missing; the first column stays.
Table without_empty_columns(const Table& table);

// ASCII lines around the cells' own text, for a terminal of `width` columns: text columns are cut
// to 16 at the least; what is still too wide goes to further blocks below, each with the first
// column.
std::string to_text(const Table& table, size_t width = 100);

std::string to_markdown(const Table& table);

// A tabular with the rules of booktabs; the best of a column in bold.
std::string to_latex(const Table& table);

// RFC 4180 with \n as line end: a header of column names; fields with a comma, quote, CR or LF are
// quoted; numbers with as many digits as give the same double back.
std::string to_csv(const Table& table);

// One object per row: {"layer": "0", "spearman": 0.39441, "spearman_low": …}.
OrderedJson to_json(const Table& table);

}  // namespace fathom
