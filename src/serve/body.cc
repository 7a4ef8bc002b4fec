// SPDX-License-Identifier: Apache-2.0
#include "serve/body.h"

#include <algorithm>
#include <limits>

#include "base/list.h"

namespace fathom::serve {
namespace {

constexpr size_t kShown = 40;  // bytes of a string that an error repeats

// A value in an error. A long string may be somebody's text and is not repeated.
std::string shown_value(const Json& value) {
  const auto* text = value.get_ptr<const std::string*>();
  if (value.is_structured() || (text && text->size() > kShown))
    return concat("a value of type ", value.type_name());
  return dump_json(value);
}

std::string names_of(const Shape& shape) {
  std::string names;
  for (const auto& part : shape.parts)
    for (const Field& f : part) names.append(names.empty() ? "" : ", ").append(f.name);
  return names;
}

Json parse(std::string_view text) {
  try {
    return parse_json(text);
  } catch (const Error& e) {
    throw RequestError(Fault::kInvalid, "", concat("the body is not JSON: ", e.what()));
  }
}

std::vector<Token> ids_of(const Json& list, const std::string& field) {
  std::vector<Token> ids;
  ids.reserve(list.size());
  for (const Json& id : list) {
    const bool fits =
        id.is_number_unsigned() && id.get<uint64_t>() <= std::numeric_limits<Token>::max();
    if (!fits)
      throw RequestError(
          Fault::kUnprocessable, field,
          concat(field, ": expected token ids, got ", shown_value(id), " at ", ids.size()));
    ids.push_back(id.get<Token>());
  }
  if (ids.empty())
    throw RequestError(Fault::kUnprocessable, field,
                       concat(field, ": expected at least one token id, got none"));
  return ids;
}

Input input_of(const Json& value, const std::string& field) {
  if (value.is_array()) return {.text = {}, .ids = ids_of(value, field), .is_ids = true};
  if (!value.is_string())
    throw RequestError(
        Fault::kInvalid, field,
        concat(field, ": expected a text or a list of token ids, got ", shown_value(value)));
  std::string text = value.get<std::string>();
  if (text.empty())
    throw RequestError(Fault::kUnprocessable, field, concat(field, ": the text is empty"));
  return {.text = std::move(text), .ids = {}, .is_ids = false};
}

}  // namespace

const Field* Shape::find(std::string_view field) const {
  for (const auto& part : parts)
    for (const Field& f : part)
      if (field == f.name) return &f;
  return nullptr;
}

Body::Body(std::string_view text, const Shape& shape) : json_(parse(text)) { check(shape); }
Body::Body(const Json& object, const Shape& shape, std::string name)
    : json_(object), prefix_(std::move(name) + ".") {
  check(shape);
}

void Body::check(const Shape& shape) const {
  const std::string where = prefix_.empty() ? "the body" : prefix_.substr(0, prefix_.size() - 1);
  if (!json_.is_object())
    throw RequestError(Fault::kInvalid, "",
                       concat(where, ": expected an object, got ", shown_value(json_)));
  for (const auto& [name, _] : json_.items()) {
    if (shape.find(name)) continue;
    // Somebody's text may be where a name belongs.
    const std::string shown = name.size() <= kShown ? name : name.substr(0, kShown) + "…";
    throw RequestError(Fault::kInvalid, prefix_ + shown,
                       concat(prefix_, shown, ": there is no such field here; expected ",
                              prefix_.empty() ? "" : "in " + where + ' ', names_of(shape)));
  }
  for (const auto& part : shape.parts)
    for (const Field& f : part)
      if (f.required && !find(f.name))
        throw RequestError(Fault::kInvalid, path(f.name), concat(path(f.name), ": missing"));
}

const Json* Body::find(const char* field) const {
  const auto at = json_.find(field);
  return at == json_.end() || at->is_null() ? nullptr : &*at;
}

void Body::refuse(const char* field, const std::string& expected) const {
  const Json* value = find(field);
  throw RequestError(
      Fault::kInvalid, path(field),
      concat(path(field), ": expected ", expected, ", got ", value ? shown_value(*value) : "none"));
}

std::optional<bool> Body::flag(const char* field) const {
  const Json* value = find(field);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) refuse(field, "true or false");
  return value->get<bool>();
}

std::optional<std::string> Body::text(const char* field) const {
  const Json* value = find(field);
  if (!value) return std::nullopt;
  if (!value->is_string()) refuse(field, "a text");
  return value->get<std::string>();
}

std::optional<size_t> Body::whole(const char* field) const {
  const Json* value = find(field);
  if (!value) return std::nullopt;
  if (!value->is_number_unsigned() || value->get<uint64_t>() == 0)
    refuse(field, "a whole number of at least 1");
  return value->get<size_t>();
}

std::string Body::required_text(const char* field) const {
  std::string value = text(field).value_or("");
  if (value.empty())
    throw RequestError(Fault::kUnprocessable, path(field),
                       concat(path(field), ": the text is empty"));
  return value;
}

std::vector<std::string> Body::texts(const char* field) const {
  const Json* value = find(field);
  if (!value || !value->is_array() || value->empty()) refuse(field, "a list of texts");
  std::vector<std::string> all;
  for (const Json& v : *value) {
    Input one = input_of(v, concat(path(field), "[", all.size(), "]"));
    if (one.is_ids) refuse(field, "a list of texts");
    all.push_back(std::move(one.text));
  }
  return all;
}

Inputs Body::inputs(const char* field, size_t max) const {
  const Json* value = find(field);
  const std::string name = path(field);
  Inputs out;
  const bool one_text = value && value->is_string(),
             one_ids = value && value->is_array() && !value->empty() && (*value)[0].is_number();
  if (one_text || one_ids) {
    out.all.push_back(input_of(*value, one_text ? name + "[0]" : name));
    out.single = true;
    return out;
  }
  if (!value || !value->is_array() || value->empty())
    refuse(field, "a text, a list of texts, or token ids");
  check_count(name, value->size(), max);
  for (const Json& v : *value)
    out.all.push_back(input_of(v, concat(name, "[", out.all.size(), "]")));
  return out;
}

std::optional<std::string> Body::choice(const char* field,
                                        std::initializer_list<const char*> names) const {
  std::optional<std::string> value = text(field);
  if (value && std::ranges::find(names, *value) == names.end())
    throw RequestError(
        Fault::kInvalid, path(field),
        concat(path(field), ": expected ", join(names, " or "), ", got another text"));
  return value;
}

void check_count(const std::string& field, size_t n, size_t max) {
  if (n > max)
    throw RequestError(Fault::kTooLarge, field,
                       concat(field, ": batch size ", n, " > maximum allowed batch size ", max));
}

}  // namespace fathom::serve
