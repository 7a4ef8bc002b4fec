// SPDX-License-Identifier: Apache-2.0
// What the readers of dataset_reader.h share: gold values, empty sentences, places for messages.
// Private to them.
#pragma once

#include <charconv>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "eval/dataset_reader.h"

namespace fathom {

// Where in which file: for messages.
struct Place {
  const std::string& name;
  size_t line;  // from 1
};
inline std::ostream& operator<<(std::ostream& out, const Place& place) {
  return out << place.name << ":" << place.line;
}

// The whole text as a number.
template <class T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// Nothing but white space of ASCII.
bool is_blank(std::string_view text);

// Lines up to the last that is not empty.
std::vector<std::string_view> data_lines(std::string_view text);

[[noreturn]] void refuse_gold(std::string_view text, const Task& task, const Place& place);

// The class of a label; nullopt if rows with it are left out.
std::optional<double> class_of(std::string_view text, const Task& task, const Source& source,
                               const Place& place);
// Throws Error if it lies outside the task's range or is NaN. text: as it stands in the file.
double check_score(double value, const Task& task, std::string_view text, const Place& place);
// A class or a score.
std::optional<double> parse_gold(std::string_view text, const Task& task, const Source& source,
                                 const Place& place);

// A row, with the place of each sentence.
struct RowText {
  std::string_view a, b;
  double gold;
  Place place_a, place_b;
};
// Takes a row. One with an empty sentence is counted and left out, for nothing can be embedded
// there; in a file without gold values, whose rows are all to be answered, "." stands for it.
void add_row(const RowText& row, const Task& task, const Source& source, ParsedRows& rows);

}  // namespace fathom
