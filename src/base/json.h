// SPDX-License-Identifier: Apache-2.0
// The one include of nlohmann/json, and the one way in and out: all JSON that Fathom reads goes
// through parse_json(), all that it writes through dump_json(). OrderedJson keeps the order in
// which fields were added.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fathom {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Levels of arrays and objects in each other. Copying, comparing and writing a tree take stack for
// each level, so that a file of brackets alone would end in a crash.
inline constexpr size_t kMaxJsonDepth = 64;

// Throws Error: not JSON, a number that no double holds, more levels than kMaxJsonDepth. `where`
// (a file, or a file and a line) begins the message, unless it is empty.
Json parse_json(std::string_view text, std::string_view where = {});
OrderedJson parse_ordered_json(std::string_view text, std::string_view where = {});

// The value as text: on one line, or with `indent` spaces a level. Strings that are not UTF-8, such
// as paths may be, are written with U+FFFD where they are ill-formed.
template <class AnyJson>
std::string dump_json(const AnyJson& value, int indent = -1) {
  return value.dump(indent, ' ', false, AnyJson::error_handler_t::replace);
}

}  // namespace fathom
