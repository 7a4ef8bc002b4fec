// SPDX-License-Identifier: Apache-2.0
#include "eval/dataset_values.h"

#include <cmath>

#include "base/error.h"
#include "text/text_file.h"

namespace fathom {
namespace {

std::string expected_gold(const Task& task) {
  if (task.gold == Gold::kScore) return concat("score from ", task.lowest, " to ", task.highest);
  std::string labels;
  for (std::string_view label : task.labels) labels += concat(labels.empty() ? "" : " or ", label);
  return "label " + labels;
}

}  // namespace

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

std::vector<std::string_view> data_lines(std::string_view text) {
  std::vector<std::string_view> lines = split_lines(text);
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

void refuse_gold(std::string_view text, const Task& task, const Place& place) {
  throw Error(concat(place, ": expected a ", expected_gold(task), ", got '", text, "'"));
}

double check_score(double value, const Task& task, std::string_view text, const Place& place) {
  if (!(value >= task.lowest && value <= task.highest)) refuse_gold(text, task, place);
  return value;
}

std::optional<double> class_of(std::string_view text, const Task& task, const Source& source,
                               const Place& place) {
  std::string_view label = text;
  if (size_t number = 0; !source.labels.empty() && read_number(text, number)) {
    if (number >= source.labels.size()) refuse_gold(text, task, place);
    label = source.labels[number];
    if (label.empty()) return std::nullopt;
  }
  for (size_t k = 0; k < task.labels.size(); ++k)
    if (task.labels[k] == label) return static_cast<double>(k);
  if (source.skips && (text == "-" || text == "-1")) return std::nullopt;
  refuse_gold(text, task, place);
}

std::optional<double> parse_gold(std::string_view text, const Task& task, const Source& source,
                                 const Place& place) {
  if (task.gold != Gold::kScore) return class_of(text, task, source, place);
  double value = std::nan("");
  if (!read_number(text, value)) value = std::nan("");
  return check_score(value, task, text, place);
}

void add_row(const RowText& row, const Task& task, const Source& source, ParsedRows& rows) {
  Pair pair{std::string(row.a), std::string(row.b), row.gold,
            static_cast<uint32_t>(rows.pairs.size()), 0};
  pair.line = static_cast<uint32_t>(row.place_a.line);
  const bool empty_a = is_blank(row.a), empty_b = task.is_pair() && is_blank(row.b);
  if (empty_a || empty_b) {
    const std::string place = concat(empty_a ? row.place_a : row.place_b);
    LeftOut& out = rows.left_out;
    if (source.layout != Layout::kUnlabelled) {
      if (out.n_empty++ == 0) out.first_empty = place;
      return;
    }
    if (out.n_filled++ == 0) out.first_filled = place;
    if (empty_a) pair.a = ".";
    if (empty_b) pair.b = ".";
  }
  rows.pairs.push_back(std::move(pair));
}

}  // namespace fathom
