// SPDX-License-Identifier: Apache-2.0
#include "eval/dataset_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
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
  if (task.gold == Gold::kScore) return concat("score from ", task.lowest, " to ", task.highest);
  std::string labels;
  for (std::string_view label : task.labels) labels += concat(labels.empty() ? "" : " or ", label);
  return "label " + labels;
}

[[noreturn]] void refuse_gold(std::string_view text, const Task& task, const Place& place) {
  throw Error(concat(place, ": expected a ", expected_gold(task), ", got '", text, "'"));
}

double check_score(double value, const Task& task, std::string_view text, const Place& place) {
  if (!(value >= task.lowest && value <= task.highest)) refuse_gold(text, task, place);
  return value;
}

template <class T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// The class of a label; nullopt if rows with it are left out.
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

// Lines up to the last that is not empty.
std::vector<std::string_view> data_lines(std::string_view text) {
  std::vector<std::string_view> lines = split_lines(text);
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

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
  size_t a, b, gold, id_a = 0, id_b = 0;
  size_t fewest = 0, most = SIZE_MAX;  // fields of a row
};

Columns columns_of(const Source& source, const std::vector<std::string_view>& lines,
                   const std::string& name, bool with_ids) {
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

std::optional<double> json_gold(const Json& label, const Task& task, const Source& source,
                                const Place& place) {
  FATHOM_REQUIRE(label != -1 || source.skips, place,
                 ": the labels of this file are hidden (-1); a labelled copy is needed");
  if (task.gold == Gold::kScore)
    return check_score(label.is_number() ? label.get<double>() : std::nan(""), task, dump_json(label),
                       place);
  return class_of(label.is_string() ? label.get<std::string>() : dump_json(label), task, source, place);
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

Rows parse_tsv(std::string_view text, const std::string& name, const Task& task,
               const Source& source, const IdPairs* ids) {
  const std::vector<std::string_view> lines = data_lines(text);
  const Columns columns = columns_of(source, lines, name, ids != nullptr);
  const size_t first = source.layout == Layout::kTsvNoHeader ? 0 : 1;
  Rows rows;
  IdPairs found;
  for (size_t i = first; i < lines.size(); ++i) {
    const std::vector<std::string_view> fields = split_tabs(lines[i]);
    const Place place{name, i + 1};
    const bool fits = fields.size() >= columns.fewest && fields.size() <= columns.most;
    FATHOM_REQUIRE(fits || source.skips, place, ": expected ",
                   columns.most == SIZE_MAX ? "at least " : "", columns.fewest, " columns, got ",
                   fields.size());
    const auto field = [&](size_t column) {
      return column == kNoColumn ? std::string_view() : fields[column];
    };
    std::optional<double> gold;
    if (fits)
      gold = columns.gold == kNoColumn ? std::nan("")
                                       : parse_gold(fields[columns.gold], task, source, place);
    if (!gold) {
      rows.n_skipped += source.skips;
      continue;
    }
    if (ids) {
      IdPair id{fields[columns.id_a], fields[columns.id_b]};
      const bool listed = ids->contains(id);
      if (listed) found.insert(std::move(id));
      if (listed != (source.layout == Layout::kTsvOnlyIds)) continue;
    }
    rows.pairs.push_back(make_pair(field(columns.a), field(columns.b), *gold, rows.pairs.size()));
  }
  if (ids)
    FATHOM_REQUIRE(found.size() == ids->size(), name, ": ", ids->size() - found.size(), " of the ",
                   ids->size(), " id pairs of dev_ids.tsv are not in it");
  return rows;
}

Rows parse_jsonl(std::string_view text, const std::string& name, const Task& task,
                 const Source& source) {
  Rows rows;
  size_t number = 0;
  for (std::string_view line : data_lines(text)) {
    const Place place{name, ++number};
    const Json row = parse_json(line, concat(place));
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
    std::optional<double> gold = std::nan("");
    if (!source.gold.empty()) gold = json_gold(field(source.gold), task, source, place);
    if (!gold) {
      rows.n_skipped += source.skips;
      continue;
    }
    const std::string_view b = source.b.empty() ? std::string_view() : sentence(source.b);
    rows.pairs.push_back(make_pair(sentence(source.a), b, *gold, rows.pairs.size()));
  }
  return rows;
}

Rows parse_lines(const NamedText& labels, const NamedText& a, const NamedText& b, const Task& task,
                 const Source& source) {
  const std::vector<std::string_view> golds = data_lines(labels.text);
  std::vector<std::string_view> first = split_lines(a.text), second = split_lines(b.text);
  const auto check = [&](const std::vector<std::string_view>& lines, const std::string& name) {
    FATHOM_REQUIRE(lines.size() == golds.size(), name, ": expected ", golds.size(), " lines as in ",
                   labels.name, ", got ", lines.size());
  };
  check(first, a.name);
  check(second, b.name);
  Rows rows;
  for (size_t i = 0; i < golds.size(); ++i) {
    const auto gold = parse_gold(golds[i], task, source, {labels.name, i + 1});
    if (gold)
      rows.pairs.push_back(make_pair(first[i], second[i], *gold, rows.pairs.size()));
    else
      rows.n_skipped += source.skips;
  }
  return rows;
}

Rows parse_sentences(std::string_view text, double gold) {
  Rows rows;
  for (std::string_view line : split_lines(text)) {
    const bool blank = line.find_first_not_of(" \t") == std::string_view::npos;
    rows.pairs.push_back(make_pair(blank ? "." : line, "", gold, rows.pairs.size()));
  }
  return rows;
}

Rows parse_label_first(std::string_view text, const std::string& name, const Task& task,
                       const Source& source) {
  Rows rows;
  size_t number = 0;
  for (std::string_view line : data_lines(text)) {
    const Place place{name, ++number};
    const size_t space = line.find(' ');
    FATHOM_REQUIRE(space != std::string_view::npos, place,
                   ": expected a label, a space, a sentence");
    std::string_view label = line.substr(0, space);
    label = label.substr(0, label.find(':'));
    const auto gold = parse_gold(label, task, source, place);
    if (gold)
      rows.pairs.push_back(make_pair(line.substr(space + 1), "", *gold, rows.pairs.size()));
    else
      rows.n_skipped += source.skips;
  }
  return rows;
}

Rows parse_sts_set(std::string_view input, const std::string& input_name, std::string_view gold,
                   const std::string& gold_name, const Task& task) {
  const std::vector<std::string_view> inputs = data_lines(input);
  std::vector<std::string_view> golds = split_lines(gold);
  // Empty gold lines are pairs without a score; but editors leave one more at the end.
  while (golds.size() > inputs.size() && golds.back().empty()) golds.pop_back();
  FATHOM_REQUIRE(golds.size() == inputs.size(), gold_name, ": expected ", inputs.size(),
                 " lines as in ", input_name, ", got ", golds.size());
  Rows rows;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<std::string_view> fields = split_tabs(inputs[i]);
    const Place place{input_name, i + 1};
    FATHOM_REQUIRE(fields.size() >= 2, place, ": expected two sentences between tabs");
    if (golds[i].empty()) continue;
    const auto score = parse_gold(golds[i], task, {}, {gold_name, i + 1});
    rows.pairs.push_back(make_pair(fields[0], fields[1], *score, i));
  }
  return rows;
}

}  // namespace fathom
