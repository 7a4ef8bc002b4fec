// SPDX-License-Identifier: Apache-2.0
#include "formats/checkpoint_json.h"

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "formats/checks.h"

namespace fathom {
namespace {

constexpr size_t kMaxText = size_t{4} << 20;
constexpr size_t kMaxValues = 40'000;
constexpr size_t kMaxFiles = 1024;

// Walks through the text without building anything, to find out whether a tree of it would be too
// large. (nlohmann's parser callback would do, but takes quadratic time for objects in an object.)
class Limits : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(int64_t) override { return count(); }
  bool number_unsigned(uint64_t) override { return count(); }
  bool number_float(double, const std::string&) override { return count(); }
  bool string(std::string&) override { return count(); }
  bool binary(Json::binary_t&) override { return count(); }
  bool key(std::string&) override { return true; }
  bool start_object(size_t) override { return count(); }
  bool start_array(size_t) override { return count(); }
  bool end_object() override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t, const std::string&, const Json::exception& e) override {
    throw Error(concat("not valid JSON: ", e.what()));
  }

 private:
  bool count() {
    FATHOM_REQUIRE(++n_value_ <= kMaxValues, "JSON of more than ", kMaxValues, " values");
    return true;
  }

  size_t n_value_ = 0;
};

// A file of an index: a name in the same folder, nothing that leads elsewhere.
std::string checked_file_name(const Json& value, std::string_view tensor) {
  FATHOM_REQUIRE(value.is_string(), "weight_map: the file of ", tensor, " must be a string");
  const std::string& name = value.get_ref<const std::string&>();
  checked_name(name, "weight_map");
  FATHOM_REQUIRE(
      name.find('/') == name.npos && name.find('\\') == name.npos && name != "." && name != "..",
      "weight_map: '", name, "' is not a file name in the same folder");
  return name;
}

void require_small(std::string_view text) {
  FATHOM_REQUIRE(text.size() <= kMaxText, "JSON of ", text.size(), " bytes; at most ", kMaxText,
                 " are read");
}

std::string without_non_finite(std::string_view text, bool& changed) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    size_t n = 1;
    if (in_string) {
      if (c == '\\' && i + 1 < text.size()) n = 2;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else {
      for (std::string_view word : {"NaN", "Infinity", "-Infinity"})
        if (text.substr(i).starts_with(word)) n = word.size();
      if (n > 1) {
        out += "null";
        changed = true;
        i += n;
        continue;
      }
    }
    out += text.substr(i, n);
    i += n;
  }
  return out;
}

}  // namespace

Json parse_json_object(std::string_view text) {
  require_small(text);
  Limits limits;
  Json::sax_parse(text, &limits);
  Json json = parse_json(text);
  FATHOM_REQUIRE(json.is_object(), "expected a JSON object");
  return json;
}

Json parse_config(std::string_view text, bool& changed) {
  require_small(text);
  if (text.find("NaN") == text.npos && text.find("Infinity") == text.npos)
    return parse_json_object(text);  // without a copy
  return parse_json_object(without_non_finite(text, changed));
}

CheckpointIndex parse_index(std::string_view text) {
  const Json json = parse_json_object(text);
  const auto map = json.find("weight_map");
  FATHOM_REQUIRE(map != json.end() && map->is_object(),
                 "expected an index with \"weight_map\": {tensor: file}");
  FATHOM_REQUIRE(!map->empty() && map->size() <= kMaxTensors, "weight_map has ", map->size(),
                 " tensors; expected 1 to ", kMaxTensors);
  CheckpointIndex index;
  for (const auto& [tensor, file] : map->items()) {
    checked_name(tensor, "weight_map");
    std::string name = checked_file_name(file, tensor);
    const auto at = std::lower_bound(index.files.begin(), index.files.end(), name);
    if (at != index.files.end() && *at == name) continue;
    FATHOM_REQUIRE(index.files.size() < kMaxFiles, "weight_map names more than ", kMaxFiles,
                   " files");
    index.files.insert(at, std::move(name));
  }
  for (const auto& [tensor, file] : map->items()) {
    const auto& name = file.get_ref<const std::string&>();
    const auto at = std::lower_bound(index.files.begin(), index.files.end(), name);
    index.tensors.emplace_back(tensor, std::distance(index.files.begin(), at));
  }
  return index;
}

}  // namespace fathom
