// SPDX-License-Identifier: Apache-2.0
// Policy files: reading. Every size comes from a file that nobody has checked.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/mapped_file.h"
#include "depth/policy_file.h"
#include "formats/checkpoint_json.h"
#include "formats/checks.h"
#include "formats/safetensors.h"

namespace fathom {
namespace {

constexpr size_t kMaxLayers = 1024, kMaxWidth = size_t{1} << 20, kMaxClasses = 4096;

// Fields of a JSON object; errors name them with all that is around them ("exit.exits[2].layer").
class Fields {
 public:
  Fields(const Json& json, std::string name) : json_(json), name_(std::move(name)) {
    FATHOM_REQUIRE(json.is_object(), name_, ": expected an object");
  }
  const Json& get(const char* key) const {
    const auto at = json_.find(key);
    FATHOM_REQUIRE(at != json_.end(), path(key), ": missing");
    return *at;
  }
  bool has(const char* key) const { return json_.contains(key); }
  size_t count(const char* key, size_t max) const {
    const Json& v = get(key);
    FATHOM_REQUIRE(v.is_number_unsigned() && v.get<uint64_t>() <= max, path(key),
                   ": expected a whole number from 0 to ", max);
    return v.get<size_t>();
  }
  double number(const char* key) const {
    FATHOM_REQUIRE(get(key).is_number(), path(key), ": expected a number");
    return get(key).get<double>();
  }
  bool flag(const char* key) const {
    FATHOM_REQUIRE(get(key).is_boolean(), path(key), ": expected true or false");
    return get(key).get<bool>();
  }
  std::string text(const char* key) const {
    FATHOM_REQUIRE(get(key).is_string(), path(key), ": expected a string");
    return std::string(checked_name(get(key).get_ref<const std::string&>(), path(key)));
  }
  const Json& array(const char* key, size_t max) const {
    const Json& v = get(key);
    FATHOM_REQUIRE(v.is_array() && v.size() <= max, path(key), ": expected an array of at most ",
                   max, " values");
    return v;
  }
  std::vector<bool> flags(const char* key, size_t size) const {
    std::vector<bool> flags;
    for (const Json& v : array(key, size)) {
      FATHOM_REQUIRE(v.is_boolean(), path(key), ": expected true or false for every block");
      flags.push_back(v.get<bool>());
    }
    FATHOM_REQUIRE(flags.size() == size, path(key), ": expected ", size, " blocks, got ",
                   flags.size());
    return flags;
  }
  Fields object(const char* key) const { return {get(key), path(key)}; }
  std::string path(const char* key) const { return name_.empty() ? key : name_ + "." + key; }

 private:
  const Json& json_;
  std::string name_;
};

// The arrays of a file, each taken once: what nobody takes has no business there.
class Arrays {
 public:
  explicit Arrays(std::span<const Tensor> tensors) {
    for (const Tensor& t : tensors) {
      FATHOM_REQUIRE(t.dtype == DType::kF32, t.name, ": expected F32, got ", name_of(t.dtype));
      NamedArray& a = all_.emplace_back(NamedArray{t.name, t.shape, {}});
      a.values.resize(t.n_element());
      read_f32(t, 0, a.values.size(), a.values);
    }
  }
  Arrays() = default;

  std::span<const NamedArray> with(const std::string& prefix) {
    used_.insert(prefix);
    return all_;
  }
  // (rows, any number of columns); empty if there is none.
  std::vector<float> matrix(const std::string& name, size_t rows) {
    used_.insert(name);
    const NamedArray* a = find_array(all_, name);
    if (!a) return {};
    FATHOM_REQUIRE(a->shape.size() == 2 && a->shape[0] == rows && !a->values.empty(), name,
                   ": expected ", rows, " rows");
    return a->values;
  }
  std::vector<float> vector(const std::string& name, size_t size) {
    used_.insert(name);
    const size_t shape[] = {size};
    return find_array(all_, name, shape).values;
  }
  void check_all_used() const {
    for (const NamedArray& a : all_)
      FATHOM_REQUIRE(std::ranges::any_of(used_,
                                         [&](const std::string& used) {
                                           return used.ends_with('.') ? a.name.starts_with(used)
                                                                      : a.name == used;
                                         }),
                     a.name, ": an array that this policy does not need");
  }

 private:
  std::vector<NamedArray> all_;
  std::set<std::string> used_;  // names, and prefixes that end with a dot
};

std::optional<uint32_t> read_token(const Fields& in, const char* key) {
  if (in.get(key) == "none") return std::nullopt;
  return static_cast<uint32_t>(in.count(key, UINT32_MAX));
}

Reading read_reading(const Fields& in) {
  Reading reading;
  try {
    reading.pooling = parse_pooling(in.text("pooling"));
    reading.norm = parse_norm(in.text("norm"));
    reading.scan = parse_scan(in.text("scan"));
  } catch (const InvalidOption& e) {  // what is wrong with the file is no wrong usage
    throw Error(concat("embedding.", e.what()));
  }
  reading.bos = read_token(in, "bos");
  if (in.has("eos")) reading.eos = read_token(in, "eos");
  return reading;
}

BlockMask read_mask(const Fields& in, size_t n_layer) {
  return {in.flags("time_mix", n_layer), in.flags("channel_mix", n_layer)};
}

ExitRule read_exit(const Fields& in, Arrays& arrays, const ModelFingerprint& model) {
  ExitRule rule;
  rule.measure = parse_measure(in.text("measure"));
  rule.pair = in.flag("pair");
  rule.n_class = in.count("n_class", kMaxClasses);
  rule.features = parse_feature_kind(in.text("features"));
  rule.streak = in.count("streak", kMaxLayers);
  rule.alpha = in.number("alpha");
  for (size_t l = 0; l <= model.n_layer; ++l) {
    const std::string layer = concat("layer.", l, ".");
    rule.post.push_back(
        load_postprocess(arrays.with(layer + "post."), layer + "post.", model.d_model));
    rule.maps.push_back(arrays.matrix(layer + "map", rule.post[l].out_dim(model.d_model)));
  }
  size_t i = 0;
  for (const Json& json : in.array("exits", kMaxLayers + 1)) {
    const Fields fields(json, concat(in.path("exits"), "[", i++, "]"));
    ExitPoint e{.layer = fields.count("layer", model.n_layer),
                .threshold = fields.number("threshold")};
    const std::string exit = concat("exit.", e.layer, ".");
    const size_t dim = rule.post[e.layer].out_dim(model.d_model);
    if (rule.n_class > 0)
      e.head =
          load_head(arrays.with(exit + "head."), exit + "head.", rule.features, rule.n_class, dim);
    if (traits_of(rule.measure).needs_prototypes)
      e.prototypes = load_prototypes(arrays.with(exit + "prototypes."), exit + "prototypes.",
                                     rule.n_class, feature_dim(rule.features, dim));
    rule.exits.push_back(std::move(e));
  }
  FATHOM_REQUIRE(!rule.exits.empty(), in.path("exits"), ": expected at least one");
  if (traits_of(rule.measure).needs_learned)
    rule.learned = load_learned_to_exit(arrays.with("learned."), "learned.",
                                        rule.post[rule.exits[0].layer].out_dim(model.d_model));
  return rule;
}

RouteRule read_route(const Fields& in, Arrays& arrays, const ModelFingerprint& model) {
  RouteRule rule;
  rule.layer = in.count("layer", model.n_layer);
  const std::string router = in.text("router");
  FATHOM_REQUIRE(router == "centroid" || router == "ridge", in.path("router"),
                 ": expected centroid or ridge, got '", router, "'");
  rule.router = router == "ridge" ? Router::kRidge : Router::kCentroid;
  rule.normalize = in.flag("normalize");
  size_t i = 0;
  for (const Json& mask : in.array("masks", kMaxClasses))
    rule.masks.push_back(
        read_mask(Fields(mask, concat(in.path("masks"), "[", i++, "]")), model.n_layer));
  FATHOM_REQUIRE(!rule.masks.empty(), in.path("masks"), ": expected at least one");
  rule.post = load_postprocess(arrays.with("route.post."), "route.post.", model.d_model);
  rule.weight = arrays.matrix("route.weight", rule.n_mask());
  FATHOM_REQUIRE(!rule.weight.empty(), "route.weight: missing");
  if (rule.router == Router::kRidge) rule.bias = arrays.vector("route.bias", rule.n_mask());
  return rule;
}

PolicyFile read_policy(const Json& json, Arrays& arrays) {
  const Fields in(json, "");
  FATHOM_REQUIRE(in.count("fathom_policy", 1'000'000) == 1,
                 "fathom_policy: only version 1 of this format is read");
  PolicyFile file;
  const Fields model = in.object("model"), embedding = in.object("embedding");
  file.model = {model.text("version"), model.count("n_layer", kMaxLayers),
                model.count("d_model", kMaxWidth), model.text("weights")};
  FATHOM_REQUIRE(file.model.n_layer > 0 && file.model.d_model > 0,
                 "model: expected n_layer and d_model above 0");
  file.reading = read_reading(embedding);
  FATHOM_REQUIRE(in.get("fitted").is_object(), "fitted: expected an object");
  file.fitted = parse_ordered_json(dump_json(in.get("fitted")));
  const std::string kind = in.text("kind");
  FATHOM_REQUIRE(kind == "mask" || kind == "exit" || kind == "route",
                 "kind: expected mask, exit or route, got '", kind, "'");
  const Fields rule = in.object(kind.c_str());
  if (kind == "mask")
    file.rule = read_mask(rule, file.model.n_layer);
  else if (kind == "exit")
    file.rule = read_exit(rule, arrays, file.model);
  else
    file.rule = read_route(rule, arrays, file.model);
  arrays.check_all_used();
  file.check();
  return file;
}

// JSON holds no zero byte; the length in front of a safetensors header does.
bool is_json(std::string_view text) { return text.substr(0, 8).find('\0') == text.npos; }

}  // namespace

PolicyFile parse_policy_file(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (is_json(text)) {
    Arrays none;
    return read_policy(parse_json_object(text), none);
  }
  const FileContents contents = parse_safetensors(bytes);
  const Json& attributes = contents.attributes;
  const auto policy = attributes.is_object() ? attributes.find("fathom_policy") : attributes.end();
  FATHOM_REQUIRE(policy != attributes.end() && policy->is_string(),
                 "no \"fathom_policy\" in its metadata: not a policy file");
  Arrays arrays(contents.tensors);
  return read_policy(parse_json_object(policy->get_ref<const std::string&>()), arrays);
}

PolicyFile read_policy_file(const std::filesystem::path& path) {
  const MappedFile mapped(path);
  try {
    return parse_policy_file(mapped.bytes());
  } catch (const Error& e) {
    throw Error(concat(path.string(), ": ", e.what()));
  }
}

}  // namespace fathom
