// SPDX-License-Identifier: Apache-2.0
#include "eval/dataset_reader.h"

#include "base/error.h"
#include "eval/dataset_values.h"
#include "text/text_file.h"

namespace fathom {

ParsedRows parse_lines(const NamedText& labels, const NamedText& a, const NamedText& b,
                       const Task& task, const Source& source) {
  const std::vector<std::string_view> golds = data_lines(labels.text);
  std::vector<std::string_view> first = split_lines(a.text), second = split_lines(b.text);
  const auto check = [&](const std::vector<std::string_view>& lines, const std::string& name) {
    FATHOM_REQUIRE(lines.size() == golds.size(), name, ": expected ", golds.size(), " lines as in ",
                   labels.name, ", got ", lines.size());
  };
  check(first, a.name);
  check(second, b.name);
  ParsedRows rows;
  for (size_t i = 0; i < golds.size(); ++i) {
    const auto gold = parse_gold(golds[i], task, source, {labels.name, i + 1});
    if (gold)
      add_row({first[i], second[i], *gold, {a.name, i + 1}, {b.name, i + 1}}, task, source, rows);
    else
      rows.left_out.n_unlabelled += source.skips;
  }
  return rows;
}

ParsedRows parse_sentences(std::string_view text, double gold) {
  ParsedRows rows;
  for (std::string_view line : split_lines(text)) {
    const bool blank = is_blank(line);
    const auto row = static_cast<uint32_t>(rows.pairs.size());
    rows.pairs.push_back({std::string(blank ? "." : line), "", gold, row, 0, 0, row + 1});
  }
  return rows;
}

ParsedRows parse_label_first(std::string_view text, const std::string& name, const Task& task,
                             const Source& source) {
  ParsedRows rows;
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
      add_row({line.substr(space + 1), "", *gold, place, place}, task, source, rows);
    else
      rows.left_out.n_unlabelled += source.skips;
  }
  return rows;
}

ParsedRows parse_sts_set(std::string_view input, const std::string& input_name,
                         std::string_view gold, const std::string& gold_name, const Task& task) {
  const std::vector<std::string_view> inputs = data_lines(input);
  std::vector<std::string_view> golds = split_lines(gold);
  // Empty gold lines are pairs without a score; but editors leave one more at the end.
  while (golds.size() > inputs.size() && is_blank(golds.back())) golds.pop_back();
  FATHOM_REQUIRE(golds.size() == inputs.size(), gold_name, ": expected ", inputs.size(),
                 " lines as in ", input_name, ", got ", golds.size());
  ParsedRows rows;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<std::string_view> fields = split_tabs(inputs[i]);
    const Place place{input_name, i + 1};
    FATHOM_REQUIRE(fields.size() >= 2, place, ": expected two sentences between tabs");
    if (is_blank(golds[i])) {
      ++rows.left_out.n_unscored;
      continue;
    }
    const auto score = parse_gold(golds[i], task, {}, {gold_name, i + 1});
    add_row({fields[0], fields[1], *score, place, place}, task, {}, rows);
  }
  return rows;
}

}  // namespace fathom
