// SPDX-License-Identifier: Apache-2.0
// Body: a request's JSON object, read by the table of fields of its route. The same table is the
// schema in /openapi.json. A field that is not in it is refused by name. All functions throw
// RequestError naming the field.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "serve/reply.h"
#include "text/tokenizer.h"

namespace fathom::serve {

struct Field {
  const char* name;
  const char* schema;  // JSON
  bool required = false;
};

// The fields of one kind of request, in parts that several share.
struct Shape {
  const char* name;  // in /openapi.json
  std::vector<std::span<const Field>> parts;
  const Field* find(std::string_view field) const;
};

// A text, or the ids of one.
struct Input {
  std::string text;
  std::vector<Token> ids;
  bool is_ids = false;
};
struct Inputs {
  std::vector<Input> all;
  bool single = false;  // one, without a list around it
};

class Body {
 public:
  // Throws if the text is not a JSON object, or for an unknown or missing field.
  Body(std::string_view text, const Shape& shape);
  // An object inside another; `name` begins the names in errors.
  Body(const Json& object, const Shape& shape, std::string name);

  const Json* find(const char* field) const;  // nullptr: not given, or null
  std::optional<bool> flag(const char* field) const;
  std::optional<std::string> text(const char* field) const;
  std::optional<size_t> whole(const char* field) const;  // at least 1
  std::string required_text(const char* field) const;
  std::vector<std::string> texts(const char* field) const;  // a list of them, not empty
  // A text, ids, or a list of either. Empty texts are refused with their index; max: how many.
  Inputs inputs(const char* field, size_t max) const;
  // One of these names.
  std::optional<std::string> choice(const char* field,
                                    std::initializer_list<const char*> names) const;

  std::string path(const char* field) const { return prefix_ + field; }
  [[noreturn]] void refuse(const char* field, const std::string& expected) const;

 private:
  void check(const Shape& shape) const;

  Json json_;
  std::string prefix_;
};

// More texts than one request may have. Throws.
void check_count(const std::string& field, size_t n, size_t max);

}  // namespace fathom::serve
