// SPDX-License-Identifier: Apache-2.0
#include "serve/config_file.h"

#include <exception>

namespace fathom::serve {
namespace {

// Of version 3.3 (Debian 12) some assertions do not hold for what is no TOML, and with NDEBUG they
// would be assumptions of the compiler. Here they are errors, in every build.
struct BadToml : std::exception {};
[[noreturn]] void refuse_toml() { throw BadToml(); }

}  // namespace
}  // namespace fathom::serve

#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? void() : ::fathom::serve::refuse_toml())
// What its parser takes stack for.
#define TOML_MAX_NESTED_VALUES 32
#include <toml++/toml.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"

namespace fathom::serve {
namespace {

constexpr size_t kMaxBytes = 1 << 20;

// Behind the string that begins at `at`: of one line, or between three quotes. Of an ill-formed one
// this says nothing; the parser will.
size_t skip_string(std::string_view text, size_t at) {
  const char quote = text[at];
  const bool is_long = text.substr(at, 3) == std::string(3, quote);
  for (size_t i = at + (is_long ? 3 : 1); i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (!is_long && (text[i] == quote || text[i] == '\n')) {
      return i + (text[i] == quote);
    } else if (is_long && text.substr(i, 3) == std::string(3, quote)) {
      // One or two quotes may stand in front of the three.
      i += 3;
      while (i < text.size() && text[i] == quote) ++i;
      return i;
    }
  }
  return text.size();
}

// What the parser is not safe with, and TOML has not: a key a.b.c makes a table in a table each, and
// these are taken apart by recursion; characters beyond ASCII that are part of no text.
void check_keys(std::string_view text, const std::string& name) {
  constexpr size_t kMaxDots = 16;
  size_t n_dot = 0, line = 1;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      // Else the parser would not take it for the beginning of one either.
      FATHOM_REQUIRE(i == 0 || std::string_view(" \t\r\n=[{,.").find(text[i - 1]) != text.npos,
                     name, ", line ", line, ": not valid TOML: a quote inside a word");
      const size_t end = skip_string(text, i);
      const auto n_line = std::ranges::count(text.substr(i, end - i), '\n');
      line += static_cast<size_t>(n_line);
      i = end;
      continue;
    }
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    if (c == '\n') {
      n_dot = 0;
      ++line;
    }
    n_dot += c == '.';
    const bool is_blank = c == '\t' || c == '\n' || c == '\r';
    FATHOM_REQUIRE(is_blank || (c >= ' ' && c <= '~'), name, ", line ", line,
                   ": not valid TOML: expected ASCII outside texts and comments");
    FATHOM_REQUIRE(n_dot <= kMaxDots, name, ", line ", line, ": expected at most ", kMaxDots,
                   " dots outside texts");
    ++i;
  }
}

OrderedJson to_json(const toml::node& node, const std::string& name);

// In the order of the file: the library sorts by name.
OrderedJson table_json(const toml::table& table, const std::string& name) {
  using Entry = std::pair<std::string, const toml::node*>;
  std::vector<Entry> entries;
  for (auto&& [key, value] : table) entries.emplace_back(std::string(key.str()), &value);
  std::ranges::stable_sort(entries, [](const Entry& a, const Entry& b) {
    return a.second->source().begin < b.second->source().begin;
  });
  OrderedJson j = OrderedJson::object();
  for (const auto& [key, value] : entries) j[key] = to_json(*value, name);
  return j;
}

OrderedJson to_json(const toml::node& node, const std::string& name) {
  if (const auto* table = node.as_table()) return table_json(*table, name);
  if (const auto* array = node.as_array()) {
    OrderedJson j = OrderedJson::array();
    for (const toml::node& one : *array) j.push_back(to_json(one, name));
    return j;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* whole = node.as_integer()) {
    const int64_t value = whole->get();
    return value < 0 ? OrderedJson(value) : OrderedJson(static_cast<uint64_t>(value));
  }
  throw Error(concat(name, ", line ", node.source().begin.line,
                     ": expected a text, a whole number, a list or a table, got a date or time"));
}

OrderedJson parse_toml(std::string_view text, const std::string& name) {
  check_keys(text, name);
  try {
    return table_json(toml::parse(text, name), name);
  } catch (const toml::parse_error& e) {
    throw Error(
        concat(name, ", line ", e.source().begin.line, ": not valid TOML: ", e.description()));
  } catch (const BadToml&) {
    throw Error(concat(name, ": not valid TOML"));
  }
}

}  // namespace

OrderedJson parse_config(std::string_view text, const std::string& name) {
  FATHOM_REQUIRE(text.size() <= kMaxBytes, name, ": expected at most ", kMaxBytes, " bytes, got ",
                 text.size());
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool is_json =
      name.ends_with(".json") || (first != std::string_view::npos && text[first] == '{');
  OrderedJson j = is_json ? parse_ordered_json(text, name) : parse_toml(text, name);
  FATHOM_REQUIRE(j.is_object(), name, ": expected a JSON object of options, got ", j.type_name());
  return j;
}

}  // namespace fathom::serve
