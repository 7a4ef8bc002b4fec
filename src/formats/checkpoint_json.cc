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
constexpr size_t kMaxDepth = 64;
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
  bool start_object(size_t) override { return enter(); }
  bool start_array(size_t) override { return enter(); }
  bool end_object() override { return --depth_, true; }
  bool end_array() override { return --depth_, true; }
  bool parse_error(size_t, const std::string&, const Json::exception& e) override {
    throw Error(concat("not valid JSON: ", e.what()));
  }

 private:
  bool count() {
    FATHOM_REQUIRE(++n_value_ <= kMaxValues, "JSON of more than ", kMaxValues, " values");
    return true;
  }
  bool enter() {
    FATHOM_REQUIRE(++depth_ <= kMaxDepth, "JSON nested deeper than ", kMaxDepth, " levels");
    return count();
  }

  size_t n_value_ = 0, depth_ = 0;
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

}  // namespace

Json parse_json_object(std::string_view text) {
  FATHOM_REQUIRE(text.size() <= kMaxText, "JSON of ", text.size(), " bytes; at most ", kMaxText,
                 " are read");
  Limits limits;
  Json::sax_parse(text, &limits);
  const Json json = Json::parse(text);
  FATHOM_REQUIRE(json.is_object(), "expected a JSON object");
  return json;
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
