// SPDX-License-Identifier: Apache-2.0
// JSON lines of dataset_reader.h, as Hugging Face's `datasets` writes them.
#include <array>
#include <cmath>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "base/json.h"
#include "eval/dataset_values.h"

namespace fathom {
namespace {

// The same column has several names in Hugging Face's data sets: GLUE's own, those of SetFit
// (text1, text2) and of MTEB and the STS Benchmark's translations (score, similarity_score).
using FieldNames = std::array<std::string_view, 4>;

FieldNames names_of_a(const Task& task, const Source& source) {
  return task.is_pair() ? FieldNames{source.a, "sentence1", "text1"}
                        : FieldNames{source.a, "sentence", "text"};
}
FieldNames names_of_b(const Source& source) { return {source.b, "sentence2", "text2"}; }
FieldNames names_of_gold(const Task& task, const Source& source) {
  if (task.gold == Gold::kScore) return {source.gold, "score", "similarity_score"};
  return source.gold == "label" ? FieldNames{"label", "is_duplicate"} : FieldNames{source.gold};
}

// One line.
class JsonRow {
 public:
  JsonRow(std::string_view line, const Place& place)
      : place_(place), row_(parse_json(line, concat(place))) {
    const bool is_list = line.substr(line.find_first_not_of(" \t")).starts_with('[');
    FATHOM_REQUIRE(row_.is_object(), place_, ": expected a JSON object in UTF-8, one a line",
                   is_list ? "; a JSON list is written so by to_json(..., orient='records', "
                             "lines=True)"
                           : "");
  }

  // The first of the fields that is there.
  const Json& field(const FieldNames& names, std::string_view& found) const {
    for (std::string_view name : names) {
      const auto at = name.empty() ? row_.end() : row_.find(name);
      if (at == row_.end()) continue;
      found = name;
      return *at;
    }
    std::string others;
    for (size_t i = 1; i < names.size(); ++i)
      if (!names[i].empty() && names[i] != names[0])
        others += concat(others.empty() ? " (nor \"" : ", \"", names[i], "\"");
    throw Error(concat(place_, ": no field \"", names[0], "\"", others, others.empty() ? "" : ")"));
  }

  std::string_view sentence(const FieldNames& names) const {
    std::string_view name;
    const Json& value = field(names, name);
    FATHOM_REQUIRE(value.is_string(), place_, ": expected text in \"", name, "\"");
    return value.get_ref<const std::string&>();
  }

 private:
  const Place& place_;
  Json row_;
};

bool is_zero_one(const Task& task) {
  return task.labels.size() == 2 && task.labels[0] == "0" && task.labels[1] == "1";
}

// What the label says as text: pandas makes 1.0 of 1 where a column had gaps.
std::string label_text(const Json& label, const Task& task, const Source& source,
                       const Place& place) {
  if (label.is_string()) {
    const std::string text = label.get<std::string>();
    double value = 0;
    return text.ends_with(".0") && read_number(text, value) ? text.substr(0, text.size() - 2)
                                                            : text;
  }
  // Of named classes nobody knows which one `true` is.
  if (label.is_boolean() && is_zero_one(task) && source.labels.empty())
    return label.get<bool>() ? "1" : "0";
  if (label.is_number_integer()) return dump_json(label);
  if (label.is_number_float()) {
    const double value = label.get<double>();
    if (value == std::floor(value) && std::abs(value) < 1e9)
      return std::to_string(static_cast<int64_t>(value));
  }
  refuse_gold(dump_json(label), task, place);
}

double score_of(const Json& score, const Task& task, const Place& place) {
  double value = std::nan("");
  if (score.is_number()) value = score.get<double>();
  if (score.is_string() && !read_number(score.get_ref<const std::string&>(), value))
    value = std::nan("");
  return check_score(value, task, score.is_string() ? score.get<std::string>() : dump_json(score),
                     place);
}

std::optional<double> gold_of(const Json& label, const Task& task, const Source& source,
                              const Place& place) {
  FATHOM_REQUIRE(label != -1 || source.skips, place,
                 ": the labels of this file are hidden (-1); a labelled copy is needed");
  if (task.gold == Gold::kScore) return score_of(label, task, place);
  return class_of(label_text(label, task, source, place), task, source, place);
}

}  // namespace

ParsedRows parse_jsonl(std::string_view text, const std::string& name, const Task& task,
                       const Source& source) {
  const FieldNames names_a = names_of_a(task, source), names_b = names_of_b(source),
                   names_gold = names_of_gold(task, source);
  ParsedRows rows;
  size_t number = 0;
  for (std::string_view line : data_lines(text)) {
    const Place place{name, ++number};
    if (is_blank(line)) continue;
    const JsonRow row(line, place);
    std::optional<double> gold = std::nan("");
    std::string_view found;
    if (!source.gold.empty()) gold = gold_of(row.field(names_gold, found), task, source, place);
    if (!gold) {
      rows.left_out.n_unlabelled += source.skips;
      continue;
    }
    const std::string_view b = source.b.empty() ? std::string_view() : row.sentence(names_b);
    add_row({row.sentence(names_a), b, *gold, place, place}, task, source, rows);
  }
  return rows;
}

}  // namespace fathom
