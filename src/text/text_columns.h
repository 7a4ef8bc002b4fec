// SPDX-License-Identifier: Apache-2.0
// Columns of a user's table by name: CSV, TSV, JSON lines or an array of JSON objects.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/text_file.h"

namespace fathom {

struct TextColumns {
  std::string file;                              // for messages
  std::string row;                               // what places are counted in: "line" or "item"
  std::vector<size_t> line;                      // (n_row) of each, from 1
  std::vector<std::vector<std::string>> values;  // (n_wanted, n_row)
  std::vector<std::string> names;                // of all columns; of JSON the first object's

  std::string place(size_t i) const;  // "FILE, line 7"
};

// Values are texts as they stand; of JSON numbers, true and false as JSON writes them, null as "".
// Throws Error naming the file: a column that is not there (listing those that are), and as
// read_csv() and parse_json().
TextColumns read_columns(const TextFile& file, std::span<const std::string> wanted);
TextColumns read_columns(const std::string& path, std::span<const std::string> wanted);

// A value of a JSON object as read_columns() gives it. Throws Error naming `where`: no such field, or
// one that is an array or an object.
std::string cell_of(const Json& object, const std::string& field, const std::string& where);

// The names of the columns; of JSON those of the first object.
std::vector<std::string> column_names(const TextFile& file);

// How the file is read: by its name, a table without a name that says so by its content.
TextFormat format_of(const TextFile& file);

}  // namespace fathom
