// SPDX-License-Identifier: Apache-2.0
#include "text/text_columns.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/list.h"
#include "text/csv.h"

namespace fathom {
namespace {

[[noreturn]] void refuse(const std::string& file, const std::string& column,
                         const std::vector<std::string>& names) {
  throw Error(
      concat(file, ": no column '", column, "'; expected one of its columns: ", join(names)));
}

void add_object(const Json& object, size_t number, std::span<const std::string> wanted,
                TextColumns& out) {
  const std::string where = concat(out.file, ", ", out.row, " ", number);
  FATHOM_REQUIRE(object.is_object(), where, ": expected a JSON object");
  if (out.line.empty()) {
    for (const auto& item : object.items()) out.names.push_back(item.key());
    for (const std::string& column : wanted)
      if (!object.contains(column)) refuse(out.file, column, out.names);
  }
  // An object need not have what others have.
  for (size_t w = 0; w < wanted.size(); ++w)
    out.values[w].push_back(cell_of(object, wanted[w], where));
  out.line.push_back(number);
}

void read_json(std::string_view text, std::span<const std::string> wanted, TextColumns& out) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  size_t number = 0;
  if (first != text.npos && text[first] == '[') {
    out.row = "item";
    for (const Json& object : parse_json(text, out.file)) add_object(object, ++number, wanted, out);
    return;
  }
  for (std::string_view line : split_lines(text)) {
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    add_object(parse_json(line, concat(out.file, ", line ", number)), number, wanted, out);
  }
}

char separator(const TextFile& file) {
  return format_of(file) == TextFormat::kTsv ? '\t' : separator_of(file.text());
}

void read_table(const TextFile& file, std::span<const std::string> wanted, TextColumns& out) {
  CsvTable table = read_csv(file.text(), out.file, separator(file));
  out.names = table.columns;
  std::vector<size_t> index;
  for (const std::string& column : wanted) {
    const auto at = std::ranges::find(table.columns, column);
    if (at == table.columns.end()) refuse(out.file, column, table.columns);
    index.push_back(static_cast<size_t>(at - table.columns.begin()));
  }
  for (CsvRow& row : table.rows) {
    out.line.push_back(row.line);
    for (size_t w = 0; w < wanted.size(); ++w) out.values[w].push_back(row.fields[index[w]]);
  }
}

}  // namespace

std::string cell_of(const Json& object, const std::string& field, const std::string& where) {
  const auto at = object.find(field);
  FATHOM_REQUIRE(at != object.end(), where, ": no field '", field, "'");
  FATHOM_REQUIRE(!at->is_structured(), where, ": expected a text or a number in '", field, "'");
  if (at->is_null()) return "";
  return at->is_string() ? at->get<std::string>() : dump_json(*at);
}

std::string TextColumns::place(size_t i) const { return concat(file, ", ", row, " ", line.at(i)); }

TextFormat format_of(const TextFile& file) {
  const TextFormat named = format_of_name(file.path());
  if (named != TextFormat::kLines) return named;
  const size_t first = file.text().find_first_not_of(" \t\r\n");
  const char c = first == std::string_view::npos ? ' ' : file.text()[first];
  if (c == '{' || c == '[') return TextFormat::kJsonLines;
  return separator_of(file.text()) == '\t' ? TextFormat::kTsv : TextFormat::kCsv;
}

TextColumns read_columns(const TextFile& file, std::span<const std::string> wanted) {
  TextColumns out{file.name(), "line", {}, {}, {}};
  out.values.resize(wanted.size());
  if (format_of(file) == TextFormat::kJsonLines)
    read_json(file.text(), wanted, out);
  else
    read_table(file, wanted, out);
  return out;
}

TextColumns read_columns(const std::string& path, std::span<const std::string> wanted) {
  return read_columns(TextFile(path), wanted);
}

std::vector<std::string> column_names(const TextFile& file) { return read_columns(file, {}).names; }

}  // namespace fathom
