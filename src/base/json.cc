// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "base/error.h"

namespace fathom {
namespace {

// Counts brackets outside strings. Of text that is not JSON this says nothing; the parser, which
// needs no stack, will.
bool is_too_deep(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

template <class AnyJson>
AnyJson parse(std::string_view text, std::string_view where) {
  const std::string before = where.empty() ? "" : concat(where, ": ");
  FATHOM_REQUIRE(!is_too_deep(text), before, "JSON nested deeper than ", kMaxJsonDepth, " levels");
  try {
    return AnyJson::parse(text);
  } catch (const nlohmann::json::exception& e) {  // also a number such as 1e400
    throw Error(concat(before, "not valid JSON: ", e.what()));
  }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where) { return parse<Json>(text, where); }

OrderedJson parse_ordered_json(std::string_view text, std::string_view where) {
  return parse<OrderedJson>(text, where);
}

}  // namespace fathom
