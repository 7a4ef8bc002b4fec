// SPDX-License-Identifier: Apache-2.0
#include "text/sentences.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/list.h"
#include "text/csv.h"
#include "text/text_columns.h"
#include "text/text_file.h"

namespace fathom {
namespace {

// Takes texts as they come and does what `empty` says about empty ones.
class Collector {
 public:
  explicit Collector(Empty empty) : empty_(empty) {}

  // What goes with the next text; taken where that is not left out.
  std::string id, label;
  bool has_id = false, has_label = false;

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
    if (has_id) sentences.id.push_back(std::move(id));
    if (has_label) sentences.label.push_back(std::move(label));
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

// Two short names or more with commas between, above a line that has as many commas.
bool looks_like_header(std::string_view line, std::string_view next) {
  constexpr size_t kLongest = 32;
  const std::vector<std::string_view> names = split_commas(line);
  const auto is_name = [](std::string_view name) {
    return !name.empty() && name.size() <= kLongest && std::ranges::all_of(name, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || c == '"';
    });
  };
  return names.size() >= 2 && std::ranges::all_of(names, is_name) &&
         std::ranges::count(next, ',') + 1 >= std::ssize(names);
}

// What a reader should know of a file that is read as plain text; "": nothing.
std::string odd_lines(const std::vector<std::string_view>& lines) {
  if (lines.empty()) return "";
  if (is_json_object(lines[0]))
    return "line 1 is a JSON object and is read as plain text; a file named .jsonl, or "
           "`field` NAME, is read as JSON";
  if (lines.size() > 1 && looks_like_header(lines[0], lines[1]))
    return "line 1 looks like the header of a table and is read as a sentence; a file named .csv, "
           "or `field` NAME, is read by its columns";
  for (size_t i = 0; i < lines.size(); ++i)
    if (lines[i].find('\t') != std::string_view::npos)
      return concat("line ", i + 1,
                    " holds a tab and is read as one sentence; a file named .tsv, or `field` NAME, "
                    "is read by its columns");
  return "";
}

void read_lines(const TextFile& file, Collector& out,
                const std::function<void(const std::string&)>& note) {
  const std::vector<std::string_view> lines = split_lines(file.text());
  if (const std::string odd = odd_lines(lines); note && !odd.empty())
    note(concat(file.name(), ": ", odd));
  size_t number = 0;
  for (std::string_view line : lines) {
    ++number;
    out.add(std::string(line), number, concat(file.name(), ", line ", number));
  }
}

void read_json_lines(const TextFile& file, const SentenceFields& fields, Collector& out) {
  size_t number = 0;
  for (std::string_view line : split_lines(file.text())) {
    const std::string where = concat(file.name(), ", line ", ++number);
    std::string text;
    if (!line.empty()) {
      const Json object = parse_json(line, where);
      text = field_of(object, fields.text, where);
      if (out.has_id) out.id = cell_of(object, fields.id, where);
      if (out.has_label) out.label = cell_of(object, fields.label, where);
    }
    out.add(std::move(text), number, where);
  }
}

void read_json_array(const TextFile& file, const SentenceFields& fields, bool texts_allowed,
                     Collector& out) {
  const Json array = parse_json(file.text(), file.name());  // it begins with '['
  size_t number = 0;
  for (const Json& item : array) {
    const std::string where = concat(file.name(), ", item ", ++number);
    const bool is_text = texts_allowed && item.is_string();
    std::string text = is_text ? item.get<std::string>() : field_of(item, fields.text, where);
    if (out.has_id) out.id = cell_of(item, fields.id, where);
    if (out.has_label) out.label = cell_of(item, fields.label, where);
    out.add(std::move(text), number, where);
  }
}

void read_table(const TextFile& file, const SentenceFields& fields, Collector& out) {
  if (fields.text.empty())
    throw UsageError(concat(file.name(), ": a table; expected `field` with one of its columns: ",
                            join(column_names(file))));
  std::vector<std::string> wanted = {fields.text};
  if (out.has_id) wanted.push_back(fields.id);
  if (out.has_label) wanted.push_back(fields.label);
  TextColumns table = read_columns(file, wanted);
  for (size_t i = 0; i < table.line.size(); ++i) {
    if (out.has_id) out.id = std::move(table.values[1][i]);
    if (out.has_label) out.label = std::move(table.values.back()[i]);
    out.add(std::move(table.values[0][i]), table.line[i], table.place(i));
  }
}

// By its name, or by a header that holds the field that was asked for.
bool is_table(const TextFile& file, TextFormat named, const std::string& field) {
  if (named == TextFormat::kCsv || named == TextFormat::kTsv) return true;
  if (named == TextFormat::kJsonLines || field.empty()) return false;
  const size_t first = file.text().find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || file.text()[first] == '{' || file.text()[first] == '[')
    return false;
  const std::string_view header = file.text().substr(0, file.text().find('\n'));
  return std::ranges::count(read_csv(header, file.name(), separator_of(header)).columns, field) > 0;
}

}  // namespace

Sentences read_sentences(const std::string& path, const SentenceFields& fields, Empty empty,
                         const std::function<void(const std::string&)>& note) {
  const TextFile file(path);
  Collector out(empty);
  out.has_id = !fields.id.empty();
  out.has_label = !fields.label.empty();
  const std::string_view text = file.text();
  const size_t first = text.find_first_not_of(" \t\r\n");
  TextFormat named = format_of_name(path);
  if (named == TextFormat::kLines) named = format_of_name(file.path());
  SentenceFields named_fields = fields;
  if (fields.text.empty()) named_fields.text = "text";
  const bool has_field = !fields.text.empty() || out.has_id || out.has_label;
  if (is_table(file, named, fields.text))
    read_table(file, fields, out);
  else if (!has_field && named == TextFormat::kLines)
    read_lines(file, out, note);
  else if (first != text.npos && text[first] == '[')
    read_json_array(file, named_fields, !has_field, out);
  else
    read_json_lines(file, named_fields, out);
  FATHOM_REQUIRE(!out.sentences.texts.empty(), file.name(), ": no sentence in it");
  return std::move(out.sentences);
}

}  // namespace fathom
