// SPDX-License-Identifier: Apache-2.0
#include "results/settings_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace fathom {
namespace {

constexpr size_t kOneLine = 90;  // characters of an object that stays in one row

std::string number_text(double value) {
  const float narrow = static_cast<float>(value);
  if (std::isfinite(narrow) && static_cast<double>(narrow) == value)
    return fmt::format("{}", narrow);
  return fmt::format("{}", value);
}

bool holds_objects(const OrderedJson& value) {
  return std::ranges::any_of(value, [](const OrderedJson& v) { return v.is_object(); });
}

}  // namespace

std::string setting_text(const OrderedJson& value) {
  if (value.is_null() || value.empty()) return "none";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_float()) return number_text(value.get<double>());
  if (!value.is_structured()) return dump_json(value);
  std::string text;
  for (const auto& [key, part] : value.items()) {
    if (!text.empty()) text += value.is_object() ? "; " : ", ";
    if (value.is_object()) text += key + ": ";
    text += part.is_structured() && !part.empty() && part.is_object() ? dump_json(part)
                                                                      : setting_text(part);
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> settings_rows(const OrderedJson& settings,
                                                               const std::string& prefix) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const auto& [key, value] : settings.items()) {
    const std::string name = prefix.empty() ? key : prefix + " " + key;
    const std::string text = setting_text(value);
    const bool many = value.is_object() && (holds_objects(value) || text.size() > kOneLine);
    if (!many) {
      rows.emplace_back(name, text);
      continue;
    }
    for (auto& row : settings_rows(value, name)) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace fathom
