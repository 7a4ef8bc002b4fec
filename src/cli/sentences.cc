// SPDX-License-Identifier: Apache-2.0
#include "cli/sentences.h"

#include <iostream>
#include <iterator>

#include "base/error.h"
#include "base/json.h"
#include "text/text_file.h"

namespace fathom::cli {
namespace {

std::string field_of(std::string_view line, const std::string& field, const std::string& where) {
  const Json j = parse_json(line, where);
  FATHOM_REQUIRE(j.is_object(), where, ": expected a JSON object");
  const auto it = j.find(field);
  FATHOM_REQUIRE(it != j.end() && it->is_string(), where, ": expected a text field '", field, "'");
  return it->get<std::string>();
}

}  // namespace

Sentences read_sentences(const std::string& path, const std::string& field, Empty empty) {
  const bool from_stdin = path == "-";
  const std::string content =
      from_stdin ? std::string(std::istreambuf_iterator<char>(std::cin), {}) : read_text_file(path);
  const std::string name = from_stdin ? "standard input" : path;
  Sentences s;
  size_t number = 0;
  for (std::string_view line : split_lines(content)) {
    const std::string where = concat(name, ", line ", ++number);
    std::string text;
    if (field.empty())
      text = std::string(line);
    else if (!line.empty())
      text = field_of(line, field, where);
    if (text.empty()) {
      FATHOM_REQUIRE(empty != Empty::kError, where,
                     ": empty; expected a sentence (or --empty zero or --empty skip)");
      if (empty == Empty::kSkip) {
        s.skipped.push_back(number);
        continue;
      }
    }
    s.texts.push_back(std::move(text));
    s.line.push_back(number);
  }
  FATHOM_REQUIRE(!s.texts.empty(), name, ": no sentence in it");
  return s;
}

}  // namespace fathom::cli
