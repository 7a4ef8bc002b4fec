// SPDX-License-Identifier: Apache-2.0
#include "encode/recommended.h"

#include <fstream>
#include <iterator>
#include <system_error>

#include "base/error.h"
#include "text/text_file.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "fathom.json";

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// nullopt: the file is there for other readers' keys, and recommends nothing.
std::optional<RecommendedReading> read_own(const fs::path& path) {
  const std::string name = path.string();
  const Json j = parse_json(read_text_file(path), name);
  FATHOM_REQUIRE(j.is_object(), name, ": expected a JSON object, got ", j.type_name());
  const auto at = j.find("recommended");
  if (at == j.end() || at->is_null()) return std::nullopt;
  FATHOM_REQUIRE(at->is_object(), name, ": recommended: expected an object, got ", at->type_name());
  RecommendedReading reading{.file = name, .why = {}};
  const std::pair<const char*, std::string*> texts[] = {{"layers", &reading.layers},
                                                        {"pool", &reading.pool},
                                                        {"norm", &reading.norm},
                                                        {"scan", &reading.scan},
                                                        {"bos", &reading.bos}};
  for (const auto& [field, value] : texts) {
    const auto given = at->find(field);
    if (given == at->end()) continue;
    FATHOM_REQUIRE(given->is_string(), name, ": recommended.", field, ": expected a text, got ",
                   dump_json(*given));
    *value = given->get<std::string>();
  }
  if (const auto given = at->find("normalize"); given != at->end()) {
    FATHOM_REQUIRE(given->is_boolean(), name, ": recommended.normalize: expected true or false");
    reading.normalize = given->get<bool>();
  }
  if (const auto why = j.find("why"); why != j.end() && why->is_string())
    reading.why = why->get<std::string>();
  return reading;
}

// A list of modules; those that change no vector's reading are passed over.
std::optional<RecommendedReading> read_modules(const fs::path& folder) {
  const std::string name = (folder / "modules.json").string();
  const Json modules = parse_json(read_text_file(name), name);
  FATHOM_REQUIRE(modules.is_array(), name, ": expected a list of modules");
  RecommendedReading reading{.file = name, .why = {}};
  bool pools = false;
  for (const Json& module : modules) {
    const auto type = module.is_object() ? module.find("type") : module.end();
    if (!module.is_object() || type == module.end() || !type->is_string()) continue;
    const std::string kind = type->get<std::string>();
    if (kind.ends_with(".Normalize")) reading.normalize = true;
    if (!kind.ends_with(".Pooling")) continue;
    const auto place = module.find("path");
    const fs::path config =
        folder /
        (place != module.end() && place->is_string() ? place->get<std::string>() : "1_Pooling") /
        "config.json";
    if (!is_file(config)) continue;
    const Json pooling = parse_json(read_text_file(config), config.string());
    const auto is_on = [&](const char* field) {
      const auto at = pooling.is_object() ? pooling.find(field) : pooling.end();
      return pooling.is_object() && at != pooling.end() && at->is_boolean() && at->get<bool>();
    };
    pools = true;
    if (is_on("pooling_mode_lasttoken"))
      reading.pool = "last";
    else if (is_on("pooling_mode_weightedmean_tokens"))
      reading.pool = "weighted";
    else
      pools = is_on("pooling_mode_mean_tokens");
  }
  return pools ? std::optional(reading) : std::nullopt;
}

}  // namespace

fs::path model_folder(const fs::path& model) {
  std::error_code ignored;
  return fs::is_directory(model, ignored) ? model : model.parent_path();
}

std::optional<RecommendedReading> recommended_reading(const fs::path& model) {
  const fs::path folder = model_folder(model);
  if (is_file(folder / kFile))
    if (auto own = read_own(folder / kFile)) return own;
  if (is_file(folder / "modules.json")) return read_modules(folder);
  return std::nullopt;
}

fs::path recommendation_path(const fs::path& model) {
  std::error_code ignored;
  FATHOM_REQUIRE(fs::exists(model, ignored), model.string(), ": no such file or folder");
  return model_folder(model) / kFile;
}

OrderedJson recommendation_json(const std::string& layer, const EncodeOptions& how,
                                const std::string& why) {
  return {{"recommended",
           {{"layers", layer},
            {"pool", std::string(name_of(how.pooling))},
            {"norm", std::string(name_of(how.norm))},
            {"scan", std::string(name_of(how.scan))},
            {"bos", how.bos ? std::to_string(*how.bos) : std::string("none")},
            {"normalize", how.normalize}}},
          {"why", why}};
}

OrderedJson merged_recommendation(const fs::path& file, const OrderedJson& recommendation) {
  if (!is_file(file)) return recommendation;
  std::ifstream in(file, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  FATHOM_REQUIRE(in.is_open() && !in.bad(), file.string(), ": cannot be read");
  OrderedJson all = parse_ordered_json(without_byte_order_mark(text), file.string());
  FATHOM_REQUIRE(all.is_object(), file.string(), ": expected a JSON object, got ", all.type_name());
  for (const auto& [key, value] : recommendation.items()) {
    OrderedJson& mine = all[key];
    if (mine.is_object() && value.is_object())
      mine.update(value);
    else
      mine = value;
  }
  return all;
}

}  // namespace fathom
