// SPDX-License-Identifier: Apache-2.0
#include "text/sentences.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/list.h"
#include "text/csv.h"
#include "text/json_items.h"
#include "text/text_buffer.h"
#include "text/text_columns.h"
#include "text/text_file.h"
#include "text/text_kind.h"
#include "text/unpack.h"

namespace fathom {
namespace {

// The text, which is moved out: it may be long. And the id and the label, as far as they are asked for.
void take_object(Json& object, const SentenceFields& fields, const std::string& where,
                 Sentence& sentence) {
  FATHOM_REQUIRE(object.is_object(), where, ": expected a JSON object");
  const auto it = object.find(fields.text);
  FATHOM_REQUIRE(it != object.end() && it->is_string(), where, ": expected a text field '",
                 fields.text, "'");
  if (!fields.id.empty()) sentence.id = cell_of(object, fields.id, where);
  if (!fields.label.empty()) sentence.label = cell_of(object, fields.label, where);
  sentence.text = std::move(it->get_ref<std::string&>());
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

// What a reader should know of a file that is read as plain text, told once.
class OddLines {
 public:
  OddLines(std::string name, std::function<void(const std::string&)> note)
      : name_(std::move(name)), note_(std::move(note)) {}

  void look(std::string_view line, size_t number) {
    if (!note_) return;
    if (number == 1 && is_json_object(line))
      tell(
          "line 1 is a JSON object and is read as plain text; a file named .jsonl, or "
          "`field` NAME, is read as JSON");
    else if (number == 2 && looks_like_header(first_, line))
      tell(
          "line 1 looks like the header of a table and is read as a sentence; a file named .csv, "
          "or `field` NAME, is read by its columns");
    else if (line.find('\t') != std::string_view::npos)
      tell(concat("line ", number,
                  " holds a tab and is read as one sentence; a file named .tsv, or `field` NAME, "
                  "is read by its columns"));
    if (number == 1) first_ = line.substr(0, 1000);
  }

 private:
  void tell(const std::string& what) {
    note_(concat(name_, ": ", what));
    note_ = {};
  }
  std::string name_, first_;
  std::function<void(const std::string&)> note_;
};

std::string_view front_of(TextBuffer& text) {
  for (;;) {
    const size_t first = text.view().find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos) return text.view().substr(first);
    if (!text.grow()) return {};
  }
}

// By its name, or by a header that holds the field that was asked for.
bool is_table(TextBuffer& text, const std::string& name, TextFormat named,
              const std::string& field) {
  if (named == TextFormat::kCsv || named == TextFormat::kTsv) return true;
  if (named == TextFormat::kJsonLines || field.empty()) return false;
  const std::string_view front = front_of(text);
  if (front.empty() || front[0] == '{' || front[0] == '[') return false;
  while (text.view().find('\n') == std::string_view::npos && text.grow()) {
  }
  const std::string_view header = text.view().substr(0, text.view().find('\n'));
  return std::ranges::count(read_csv(header, name, separator_of(header)).columns, field) > 0;
}

}  // namespace

// One way to hold sentences.
class SentenceStream::Format {
 public:
  virtual ~Format() = default;
  // The next row, wanted or not: of one that is not wanted only its number is looked at.
  virtual bool next(Sentence& sentence, const std::function<bool(size_t)>& wanted) = 0;
  virtual bool in_part() const { return false; }
  virtual bool more(std::string_view&) { return false; }
  virtual const char* row() const { return "line"; }  // what places are counted in
  size_t n_row() const { return n_row_; }

 protected:
  bool is_wanted(const std::function<bool(size_t)>& wanted) {
    ++n_row_;
    return !wanted || wanted(n_row_);
  }
  size_t n_row_ = 0;
};

struct SentenceStream::State {
  Source source;
  SentenceFields fields;
  std::unique_ptr<Unpacked> bytes;
  std::unique_ptr<TextBuffer> text;
  std::unique_ptr<Format> format;
  size_t line = 0;  // of the last one
};

class SentenceStream::Lines final : public Format {
 public:
  Lines(State& state, std::function<void(const std::string&)> note)
      : lines_(*state.text), odd_(state.source.name, std::move(note)) {}

  bool next(Sentence& sentence, const std::function<bool(size_t)>& wanted) override {
    std::string_view line;
    while (more(line)) {
    }
    if (!lines_.next(line)) return false;
    odd_.look(line, n_row_ + 1);
    sentence.line = n_row_ + 1;
    if (is_wanted(wanted)) sentence.text = line;
    return true;
  }
  bool in_part() const override { return lines_.in_part(); }
  bool more(std::string_view& part) override { return lines_.more(part); }

 private:
  LineReader lines_;
  OddLines odd_;
};

class SentenceStream::JsonLines final : public Format {
 public:
  explicit JsonLines(State& state)
      : fields_(state.fields), name_(state.source.name), lines_(*state.text) {}

  bool next(Sentence& sentence, const std::function<bool(size_t)>& wanted) override {
    std::string_view part;
    if (!lines_.next(part)) return false;
    sentence.line = n_row_ + 1;
    const bool is_read = is_wanted(wanted);
    const std::string where = concat(name_, ", line ", sentence.line);
    std::string whole;
    if (lines_.in_part()) {
      if (is_read) whole = part;
      while (lines_.more(part)) {
        if (is_read) whole += part;
        FATHOM_REQUIRE(whole.size() <= kLongestJson, where, ": of more than ", kLongestJson,
                       " bytes, which are held in memory; expected less");
      }
      part = whole;
    }
    if (!is_read) return true;
    sentence = {.text = {}, .line = sentence.line, .id = {}, .label = {}};
    if (part.empty()) return true;
    Json object = parse_json(part, where);
    take_object(object, fields_, where, sentence);
    return true;
  }

 private:
  const SentenceFields& fields_;
  const std::string& name_;
  LineReader lines_;
};

class SentenceStream::JsonArray final : public Format {
 public:
  JsonArray(State& state, bool texts_allowed)
      : fields_(state.fields),
        name_(state.source.name),
        texts_allowed_(texts_allowed),
        items_(*state.text, name_) {}
  const char* row() const override { return "item"; }

  bool next(Sentence& sentence, const std::function<bool(size_t)>& wanted) override {
    std::string_view text;
    if (!items_.next(text)) return false;
    sentence = {.text = {}, .line = n_row_ + 1, .id = {}, .label = {}};
    if (!is_wanted(wanted)) return true;
    const std::string where = concat(name_, ", item ", sentence.line);
    Json item = parse_json(text, where);
    if (texts_allowed_ && item.is_string())
      sentence.text = std::move(item.get_ref<std::string&>());
    else
      take_object(item, fields_, where, sentence);
    return true;
  }

 private:
  const SentenceFields& fields_;
  const std::string& name_;
  bool texts_allowed_;
  JsonItems items_;
};

class SentenceStream::Table final : public Format {
 public:
  Table(State& state, TextFormat named)
      : rows_(*state.text, state.source.name, named == TextFormat::kTsv ? '\t' : '\0') {
    const std::vector<std::string>& columns = rows_.columns();
    const std::string& name = state.source.name;
    if (state.fields.text.empty())
      throw UsageError(
          concat(name, ": a table; expected `field` with one of its columns: ", join(columns)));
    const auto index = [&](const std::string& column) {
      const auto at = std::ranges::find(columns, column);
      FATHOM_REQUIRE(at != columns.end(), name, ": no column '", column,
                     "'; expected one of its columns: ", join(columns));
      return static_cast<size_t>(at - columns.begin());
    };
    text_ = index(state.fields.text);
    if (!state.fields.id.empty()) id_ = index(state.fields.id);
    if (!state.fields.label.empty()) label_ = index(state.fields.label);
  }

  bool next(Sentence& sentence, const std::function<bool(size_t)>& wanted) override {
    if (!rows_.next(row_)) return false;
    sentence.line = row_.line;
    if (!is_wanted(wanted)) return true;
    if (id_) sentence.id = row_.fields[*id_];  // before the text, which may be the same column
    if (label_) sentence.label = row_.fields[*label_];
    sentence.text = std::move(row_.fields[text_]);
    return true;
  }

 private:
  CsvRows rows_;
  CsvRow row_;
  size_t text_ = 0;
  std::optional<size_t> id_, label_;
};

SentenceStream::SentenceStream(Source source, SentenceFields fields,
                               std::function<void(const std::string&)> note)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.source = std::move(source);
  s.fields = std::move(fields);
  s.bytes = std::make_unique<Unpacked>(*s.source.bytes, s.source.name);
  require_text(s.bytes->first(), s.source.name, s.bytes->packing());
  s.text = std::make_unique<TextBuffer>(*s.bytes);
  TextFormat named = format_of_name(s.source.asked);
  if (named == TextFormat::kLines) named = format_of_name(s.source.found);
  const bool has_field = !s.fields.text.empty() || !s.fields.id.empty() || !s.fields.label.empty();
  if (is_table(*s.text, s.source.name, named, s.fields.text)) {
    s.format = std::make_unique<Table>(s, named);
  } else if (!has_field && named == TextFormat::kLines) {
    s.format = std::make_unique<Lines>(s, std::move(note));
  } else {
    if (s.fields.text.empty()) s.fields.text = "text";
    if (front_of(*s.text).starts_with('['))
      s.format = std::make_unique<JsonArray>(s, !has_field);
    else
      s.format = std::make_unique<JsonLines>(s);
  }
}

SentenceStream::SentenceStream(SentenceStream&&) noexcept = default;
SentenceStream::~SentenceStream() = default;

bool SentenceStream::next(Sentence& sentence) {
  const auto& wanted = state_->source.row_wanted;
  while (state_->format->next(sentence, wanted)) {
    state_->line = sentence.line;
    if (!wanted || wanted(state_->format->n_row())) return true;
  }
  return false;
}

bool SentenceStream::in_part() const { return state_->format->in_part(); }
bool SentenceStream::more(std::string_view& part) { return state_->format->more(part); }
size_t SentenceStream::n_row() const { return state_->format->n_row(); }
std::string SentenceStream::place() const {
  return concat(state_->source.name, ", ", state_->format->row(), " ", state_->line);
}

void throw_empty(const std::string& place) {
  throw Error(concat(place, ": empty; expected a sentence (or `empty` zero or `empty` skip)"));
}

Sentences read_sentences(const std::string& path, const SentenceFields& fields, Empty empty,
                         const std::function<void(const std::string&)>& note) {
  const std::filesystem::path found =
      path == "-" ? std::filesystem::path(path) : find_text_file(path).value_or(path);
  auto file = std::make_unique<InputFile>(found);
  const std::string name = file->name();
  SentenceStream stream({.asked = path, .found = found, .name = name, .bytes = std::move(file)},
                        fields, note);
  Sentences out;
  for (Sentence s; stream.next(s);) {
    for (std::string_view part; stream.more(part);) s.text += part;
    if (s.text.empty() && empty == Empty::kError) throw_empty(stream.place());
    if (s.text.empty() && empty == Empty::kSkip) {
      out.skipped.push_back(s.line);
      continue;
    }
    out.texts.push_back(std::move(s.text));
    out.line.push_back(s.line);
    if (!fields.id.empty()) out.id.push_back(std::move(s.id));
    if (!fields.label.empty()) out.label.push_back(std::move(s.label));
  }
  FATHOM_REQUIRE(!out.texts.empty(), name, ": no sentence in it");
  return out;
}

}  // namespace fathom
