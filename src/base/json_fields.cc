// SPDX-License-Identifier: Apache-2.0
#include "base/json_fields.h"

namespace fathom {

std::string JsonPlace::text() const {
  if (!around) return std::string(name);
  const std::string before = around->text();
  if (number) return concat(before, around->around ? "" : ": ", "[", *number, "]");
  return concat(before, around->around ? "." : ": ", name);
}

FieldReader::FieldReader(const OrderedJson& json, const JsonPlace& place)
    : json_(json), place_(place) {
  if (!json.is_object()) refuse(json, place, "an object");
}

const OrderedJson& FieldReader::at(const char* name) const {
  const auto found = json_.find(name);
  if (found == json_.end()) throw Error(concat(JsonPlace{&place_, name}.text(), ": is missing"));
  return *found;
}

void FieldReader::refuse(const OrderedJson& json, const JsonPlace& place,
                         std::string_view expected) {
  constexpr size_t kShown = 40;  // characters
  std::string got = json.is_structured() ? concat("an ", json.type_name()) : dump_json(json);
  if (got.size() > kShown) got = got.substr(0, kShown) + " ...";
  throw Error(concat(place.text(), ": expected ", expected, ", got ", got));
}

uint64_t FieldReader::whole_of(const OrderedJson& json, const JsonPlace& place, uint64_t largest) {
  if (json.is_number_integer() && (json.is_number_unsigned() || json.get<int64_t>() >= 0))
    if (const auto value = json.get<uint64_t>(); value <= largest) return value;
  refuse(json, place, concat("a whole number from 0 to ", largest));
}

void FieldReader::read_one(const OrderedJson& json, const JsonPlace& place, double& value) {
  if (!json.is_number() && !json.is_null()) refuse(json, place, "a number or null");
  value = json.is_null() ? std::nan("") : json.get<double>();
}

void FieldReader::read_one(const OrderedJson& json, const JsonPlace& place, bool& value) {
  if (!json.is_boolean()) refuse(json, place, "true or false");
  value = json.get<bool>();
}

void FieldReader::read_one(const OrderedJson& json, const JsonPlace& place, std::string& value) {
  if (!json.is_string()) refuse(json, place, "a string");
  value = json.get<std::string>();
}

}  // namespace fathom
