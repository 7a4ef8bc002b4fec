// SPDX-License-Identifier: Apache-2.0
#include "eval/dataset_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ostream>

#include "base/error.h"
#include "base/json.h"
#include "text/text_file.h"

namespace fathom {
namespace {

// Where in which file: for messages.
struct Place {
  const std::string& name;
  size_t line;  // from 1
};
std::ostream& operator<<(std::ostream& out, const Place& place) {
  return out << place.name << ":" << place.line;
}

std::string expected_gold(const Task& task) {
  return task.gold == Gold::kLabel ? "label 0 or 1"
                                   : concat("score from ", task.lowest, " to ", task.highest);
}

double check_gold(double value, const Task& task, std::string_view text, const Place& place) {
  const bool good = task.gold == Gold::kLabel ? value == 0 || value == 1
                                              : value >= task.lowest && value <= task.highest;
  FATHOM_REQUIRE(good, place, ": expected a ", expected_gold(task), ", got '", text, "'");
  return value;
}

double parse_gold(std::string_view text, const Task& task, const Place& place) {
  double value = std::nan("");
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) value = std::nan("");
  return check_gold(value, task, text, place);
}

// Lines up to the last that is not empty.
std::vector<std::string_view> data_lines(std::string_view text) {
  std::vector<std::string_view> lines = split_lines(text);
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

// Index of a column.
size_t find_column(std::string_view column, const std::vector<std::string_view>& header,
                   const std::string& name) {
  for (size_t i = 0; i < header.size(); ++i)
    if (header[i] == column) return i;
  throw Error(concat(name, ":1: no column '", column, "' in the header"));
}

struct Columns {
  size_t a, b, gold, id_a = 0, id_b = 0;
  size_t fewest = 0, most = SIZE_MAX;  // fields of a row
};

Columns columns_of(const Source& source, const std::vector<std::string_view>& lines,
                   const std::string& name, bool with_ids) {
  if (source.layout == Layout::kTsvNoHeader) {
    const auto number = [](std::string_view column) {
      size_t value = 0;
      std::from_chars(column.data(), column.data() + column.size(), value);
      FATHOM_ASSERT(value > 0);
      return value - 1;
    };
    Columns columns{.a = number(source.a), .b = number(source.b), .gold = number(source.gold)};
    columns.fewest = std::max({columns.a, columns.b, columns.gold}) + 1;
    return columns;
  }
  FATHOM_REQUIRE(!lines.empty(), name, ": the file is empty, expected a header line");
  const std::vector<std::string_view> header = split_tabs(lines[0]);
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

Pair make_pair(std::string_view a, std::string_view b, double gold, size_t row) {
  return {std::string(a), std::string(b), gold, static_cast<uint32_t>(row), 0};
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

std::vector<Pair> parse_tsv(std::string_view text, const std::string& name, const Task& task,
                            const Source& source, const IdPairs* ids) {
  const std::vector<std::string_view> lines = data_lines(text);
  const Columns columns = columns_of(source, lines, name, ids != nullptr);
  const size_t first = source.layout == Layout::kTsvNoHeader ? 0 : 1;
  std::vector<Pair> pairs;
  IdPairs found;
  for (size_t i = first; i < lines.size(); ++i) {
    const std::vector<std::string_view> fields = split_tabs(lines[i]);
    const Place place{name, i + 1};
    FATHOM_REQUIRE(fields.size() >= columns.fewest && fields.size() <= columns.most, place,
                   ": expected ", columns.most == SIZE_MAX ? "at least " : "", columns.fewest,
                   " columns, got ", fields.size());
    const double gold = parse_gold(fields[columns.gold], task, place);
    if (ids) {
      IdPair id{fields[columns.id_a], fields[columns.id_b]};
      const bool listed = ids->contains(id);
      if (listed) found.insert(std::move(id));
      if (listed != (source.layout == Layout::kTsvOnlyIds)) continue;
    }
    pairs.push_back(make_pair(fields[columns.a], fields[columns.b], gold, pairs.size()));
  }
  if (ids)
    FATHOM_REQUIRE(found.size() == ids->size(), name, ": ", ids->size() - found.size(), " of the ",
                   ids->size(), " id pairs of dev_ids.tsv are not in it");
  return pairs;
}

std::vector<Pair> parse_jsonl(std::string_view text, const std::string& name, const Task& task,
                              const Source& source) {
  std::vector<Pair> pairs;
  size_t number = 0;
  for (std::string_view line : data_lines(text)) {
    const Place place{name, ++number};
    const Json row = Json::parse(line, nullptr, false);
    FATHOM_REQUIRE(row.is_object(), place, ": expected a JSON object in UTF-8");
    const auto field = [&](std::string_view key) -> const Json& {
      const auto found = row.find(key);
      FATHOM_REQUIRE(found != row.end(), place, ": no field \"", key, "\"");
      return *found;
    };
    const auto sentence = [&](std::string_view key) -> const std::string& {
      const Json& value = field(key);
      FATHOM_REQUIRE(value.is_string(), place, ": expected text in \"", key, "\"");
      return value.get_ref<const std::string&>();
    };
    const Json& label = field(source.gold);
    FATHOM_REQUIRE(label != -1, place,
                   ": the labels of this file are hidden (-1); a labelled copy is needed");
    const double gold = check_gold(label.is_number() ? label.get<double>() : std::nan(""), task,
                                   label.dump(), place);
    pairs.push_back(make_pair(sentence(source.a), sentence(source.b), gold, pairs.size()));
  }
  return pairs;
}

std::vector<Pair> parse_sts_set(std::string_view input, const std::string& input_name,
                                std::string_view gold, const std::string& gold_name,
                                const Task& task) {
  const std::vector<std::string_view> inputs = data_lines(input);
  std::vector<std::string_view> golds = split_lines(gold);
  // Empty gold lines are pairs without a score; but editors leave one more at the end.
  while (golds.size() > inputs.size() && golds.back().empty()) golds.pop_back();
  FATHOM_REQUIRE(golds.size() == inputs.size(), gold_name, ": expected ", inputs.size(),
                 " lines as in ", input_name, ", got ", golds.size());
  std::vector<Pair> pairs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<std::string_view> fields = split_tabs(inputs[i]);
    const Place place{input_name, i + 1};
    FATHOM_REQUIRE(fields.size() >= 2, place, ": expected two sentences between tabs");
    if (golds[i].empty()) continue;
    const double score = parse_gold(golds[i], task, {gold_name, i + 1});
    pairs.push_back(make_pair(fields[0], fields[1], score, i));
  }
  return pairs;
}

}  // namespace fathom
