// SPDX-License-Identifier: Apache-2.0
#include "text/sentences.h"

#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "text/text_file.h"

namespace fathom {
namespace {

// Takes texts as they come and does what `empty` says about empty ones.
class Collector {
 public:
  explicit Collector(Empty empty) : empty_(empty) {}

  void add(std::string text, size_t number, const std::string& where) {
    if (text.empty()) {
      FATHOM_REQUIRE(empty_ != Empty::kError, where,
                     ": empty; expected a sentence (or `empty` zero or `empty` skip)");
      if (empty_ == Empty::kSkip) {
        sentences.skipped.push_back(number);
        return;
      }
    }
    sentences.texts.push_back(std::move(text));
    sentences.line.push_back(number);
  }

  Sentences sentences;

 private:
  Empty empty_;
};

std::string field_of(const Json& j, const std::string& field, const std::string& where) {
  FATHOM_REQUIRE(j.is_object(), where, ": expected a JSON object");
  const auto it = j.find(field);
  FATHOM_REQUIRE(it != j.end() && it->is_string(), where, ": expected a text field '", field, "'");
  return it->get<std::string>();
}

bool is_json_object(std::string_view line) {
  if (!line.starts_with('{')) return false;
  try {
    return parse_json(line).is_object();
  } catch (const Error&) {
    return false;
  }
}

void read_lines(const TextFile& file, Collector& out,
                const std::function<void(const std::string&)>& note) {
  size_t number = 0;
  for (std::string_view line : split_lines(file.text())) {
    ++number;
    if (number == 1 && note && is_json_object(line))
      note(concat(file.name(),
                  ": line 1 is a JSON object and is read as plain text; a file named .jsonl, or "
                  "`field` NAME, is read as JSON"));
    out.add(std::string(line), number, concat(file.name(), ", line ", number));
  }
}

void read_json_lines(const TextFile& file, const std::string& field, Collector& out) {
  size_t number = 0;
  for (std::string_view line : split_lines(file.text())) {
    const std::string where = concat(file.name(), ", line ", ++number);
    std::string text;
    if (!line.empty()) text = field_of(parse_json(line, where), field, where);
    out.add(std::move(text), number, where);
  }
}

void read_json_array(const TextFile& file, const std::string& field, bool texts_allowed,
                     Collector& out) {
  const Json array = parse_json(file.text(), file.name());  // it begins with '['
  size_t number = 0;
  for (const Json& item : array) {
    const std::string where = concat(file.name(), ", item ", ++number);
    const bool is_text = texts_allowed && item.is_string();
    out.add(is_text ? item.get<std::string>() : field_of(item, field, where), number, where);
  }
}

}  // namespace

Sentences read_sentences(const std::string& path, const std::string& field, Empty empty,
                         const std::function<void(const std::string&)>& note) {
  const TextFile file(path);
  Collector out(empty);
  const std::string_view text = file.text();
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (field.empty() && !names_json_lines(path) && !names_json_lines(file.path()))
    read_lines(file, out, note);
  else if (first != text.npos && text[first] == '[')
    read_json_array(file, field.empty() ? "text" : field, field.empty(), out);
  else
    read_json_lines(file, field.empty() ? "text" : field, out);
  FATHOM_REQUIRE(!out.sentences.texts.empty(), file.name(), ": no sentence in it");
  return std::move(out.sentences);
}

}  // namespace fathom
