// SPDX-License-Identifier: Apache-2.0
// Tab-separated layouts of dataset_reader.h.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "eval/dataset_values.h"
#include "eval/tsv.h"
#include "text/text_file.h"

namespace fathom {
namespace {

constexpr size_t kNoColumn = SIZE_MAX;

// Index of a column; kNoColumn for "".
size_t find_column(std::string_view column, const std::vector<std::string_view>& header,
                   const std::string& name) {
  if (column.empty()) return kNoColumn;
  for (size_t i = 0; i < header.size(); ++i)
    if (header[i] == column) return i;
  throw Error(concat(name, ":1: no column '", column, "' in the header"));
}

struct Columns {
  size_t a = 0, b = 0, gold = 0, id_a = 0, id_b = 0;
  size_t fewest = 0, most = SIZE_MAX;  // fields of a row

  bool fit(const TsvRow& row) const {
    return row.fields.size() >= fewest && row.fields.size() <= most;
  }
};

Columns columns_of(const Source& source, const TsvTable& table, const std::string& name,
                   bool with_ids) {
  if (source.layout == Layout::kTsvNoHeader) {
    Columns columns{};
    const auto number = [&](std::string_view column) {
      if (column.empty()) return kNoColumn;
      size_t value = 0;
      FATHOM_ASSERT(read_number(column, value) && value > 0);
      columns.fewest = std::max(columns.fewest, value);
      return value - 1;
    };
    columns.a = number(source.a);
    columns.b = number(source.b);
    columns.gold = number(source.gold);
    return columns;
  }
  FATHOM_REQUIRE(!table.rows.empty(), name, ": the file is empty, expected a header line");
  const std::vector<std::string_view>& header = table.rows[0].fields;
  Columns columns{.a = find_column(source.a, header, name),
                  .b = find_column(source.b, header, name),
                  .gold = find_column(source.gold, header, name)};
  if (with_ids) {
    columns.id_a = find_column(source.id_a, header, name);
    columns.id_b = find_column(source.id_b, header, name);
  }
  columns.fewest = columns.most = header.size();
  return columns;
}

// Whether the ids of a file count from 0, as those of Quora's own do; GLUE's rows are shuffled.
bool counts_from_0(const TsvTable& table) {
  if (table.rows.size() < 2 || table.rows[0].fields[0] != "id") return false;
  for (size_t i = 1; i < table.rows.size(); ++i)
    if (table.rows[i].fields[0] != std::to_string(i - 1)) return false;
  return true;
}

size_t n_damaged(const TsvTable& table, const Columns& columns, size_t first) {
  size_t n = 0;
  for (size_t i = first; i < table.rows.size(); ++i) n += !columns.fit(table.rows[i]);
  return n;
}

bool too_many(size_t damaged, size_t n_row) {
  return static_cast<double>(damaged) > kMaxDamaged * static_cast<double>(n_row);
}

// The rows of a file, read in the way that its kind asks for.
TsvTable table_of(std::string_view text, const Source& source, bool& quoted) {
  TsvTable plain = read_plain_tsv(text);
  const bool has_header = source.layout != Layout::kTsvNoHeader;
  quoted = source.quoting == Quoting::kQuoted ||
           (has_header && !plain.rows.empty() && plain.rows[0].fields[0].starts_with('"'));
  if (quoted) return read_quoted_tsv(text);
  if (source.quoting != Quoting::kByContent || plain.rows.empty()) return plain;
  TsvTable other = read_quoted_tsv(text);
  const Columns columns{.fewest = plain.rows[0].fields.size(), .most = plain.rows[0].fields.size()};
  const size_t n_plain = n_damaged(plain, columns, 1), n_other = n_damaged(other, columns, 1);
  const bool repairs =
      too_many(n_plain, plain.rows.size() - 1) && !too_many(n_other, other.rows.size() - 1);
  quoted = repairs || (other.n_stray == 0 && n_other == 0 && counts_from_0(other));
  return quoted ? std::move(other) : std::move(plain);
}

// "expected 5 columns, got 4"
std::string misfit(const Columns& columns, const TsvRow& row) {
  return concat("expected ", columns.most == SIZE_MAX ? "at least " : "", columns.fewest,
                " columns, got ", row.fields.size());
}

void check_damaged(const TsvTable& table, const Columns& columns, size_t first,
                   const ParsedRows& rows, const std::string& name) {
  const size_t n = rows.left_out.n_damaged, n_row = table.rows.size() - first;
  if (!too_many(n, n_row)) return;
  for (size_t i = first; i < table.rows.size(); ++i)
    if (const TsvRow& row = table.rows[i]; !columns.fit(row))
      throw Error(concat(Place{name, row.line}, ": ", misfit(columns, row), "; ", n, " of the ",
                         n_row, " rows of the file are damaged, more than 1 % of them"));
}

}  // namespace

IdPairs parse_id_pairs(std::string_view text, const std::string& name) {
  IdPairs ids;
  size_t number = 0;
  for (std::string_view line : data_lines(text)) {
    const std::vector<std::string_view> fields = split_tabs(line);
    const Place place{name, ++number};
    FATHOM_REQUIRE(fields.size() == 2, place, ": expected two ids, got ", fields.size(), " fields");
    const bool added = ids.emplace(fields[0], fields[1]).second;
    FATHOM_REQUIRE(added, place, ": the ids ", fields[0], ", ", fields[1], " are listed twice");
  }
  return ids;
}

ParsedRows parse_tsv(std::string_view text, const std::string& name, const Task& task,
                     const Source& source, const IdPairs* ids) {
  ParsedRows rows;
  const TsvTable table = table_of(text, source, rows.quoted);
  const Columns columns = columns_of(source, table, name, ids != nullptr);
  const size_t first = source.layout == Layout::kTsvNoHeader ? 0 : 1;
  IdPairs found;
  for (size_t i = first; i < table.rows.size(); ++i) {
    const std::vector<std::string_view>& fields = table.rows[i].fields;
    const Place place{name, table.rows[i].line};
    if (!columns.fit(table.rows[i])) {
      FATHOM_REQUIRE(source.skips, place, ": ", misfit(columns, table.rows[i]));
      if (rows.left_out.n_damaged++ == 0) rows.left_out.first_damaged = concat(place);
      continue;
    }
    const auto field = [&](size_t column) {
      return column == kNoColumn ? std::string_view() : fields[column];
    };
    const std::optional<double> gold = columns.gold == kNoColumn
                                           ? std::nan("")
                                           : parse_gold(fields[columns.gold], task, source, place);
    if (!gold) {
      rows.left_out.n_unlabelled += source.skips;
      continue;
    }
    if (ids) {
      IdPair id{fields[columns.id_a], fields[columns.id_b]};
      const bool listed = ids->contains(id);
      if (listed) found.insert(std::move(id));
      if (listed != (source.layout == Layout::kTsvOnlyIds)) continue;
    }
    add_row({field(columns.a), field(columns.b), *gold, place, place}, task, source, rows);
  }
  check_damaged(table, columns, first, rows, name);
  if (ids)
    FATHOM_REQUIRE(found.size() == ids->size(), name, ": ", ids->size() - found.size(), " of the ",
                   ids->size(), " id pairs of dev_ids.tsv are not in it");
  return rows;
}

}  // namespace fathom
