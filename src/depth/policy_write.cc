// SPDX-License-Identifier: Apache-2.0
// Policy files: writing. policy_read.cc is the other way.
#include "base/atomic_file.h"
#include "depth/policy_file.h"
#include "formats/write_safetensors.h"

namespace fathom {
namespace {

OrderedJson token_json(std::optional<uint32_t> id) {
  return id ? OrderedJson(*id) : OrderedJson("none");
}

OrderedJson to_json(const Reading& reading) {
  OrderedJson j{{"pooling", std::string(name_of(reading.pooling))},
                {"norm", std::string(name_of(reading.norm))},
                {"bos", token_json(reading.bos)},
                {"scan", std::string(name_of(reading.scan))}};
  if (reading.pooling == Pooling::kEos) j["eos"] = token_json(reading.eos);
  return j;
}

OrderedJson to_json(const BlockMask& mask) {
  return {{"time_mix", mask.time_mix}, {"channel_mix", mask.channel_mix}};
}

OrderedJson to_json(const ExitRule& rule) {
  OrderedJson j;
  j["measure"] = std::string(name_of(rule.measure));
  j["pair"] = rule.pair;
  j["n_class"] = rule.n_class;
  j["features"] = std::string(name_of(rule.features));
  j["streak"] = rule.streak;
  j["alpha"] = rule.alpha;
  j["exits"] = OrderedJson::array();
  for (const ExitPoint& e : rule.exits)
    j["exits"].push_back({{"layer", e.layer}, {"threshold", e.threshold}});
  return j;
}

OrderedJson to_json(const RouteRule& rule) {
  OrderedJson j;
  j["layer"] = rule.layer;
  j["router"] = std::string(name_of(rule.router));
  j["normalize"] = rule.normalize;
  j["masks"] = OrderedJson::array();
  for (const BlockMask& mask : rule.masks) j["masks"].push_back(to_json(mask));
  return j;
}

std::vector<NamedArray> arrays_of(const ExitRule& rule, size_t d_model) {
  std::vector<NamedArray> arrays;
  for (size_t l = 0; l < rule.post.size(); ++l) {
    const std::string layer = concat("layer.", l, ".");
    if (!rule.post[l].is_identity()) save(rule.post[l], layer + "post.", arrays);
    if (rule.maps[l].empty()) continue;
    const size_t dim = rule.post[l].out_dim(d_model);
    arrays.push_back({layer + "map", {dim, rule.maps[l].size() / dim}, rule.maps[l]});
  }
  for (const ExitPoint& e : rule.exits) {
    const std::string exit = concat("exit.", e.layer, ".");
    if (rule.n_class > 0) save(e.head, exit + "head.", arrays);
    if (traits_of(rule.measure).needs_prototypes) save(e.prototypes, exit + "prototypes.", arrays);
  }
  if (rule.learned) save(*rule.learned, "learned.", arrays);
  return arrays;
}

std::vector<NamedArray> arrays_of(const RouteRule& rule) {
  std::vector<NamedArray> arrays;
  if (!rule.post.is_identity()) save(rule.post, "route.post.", arrays);
  arrays.push_back(
      {"route.weight", {rule.n_mask(), rule.weight.size() / rule.n_mask()}, rule.weight});
  if (!rule.bias.empty()) arrays.push_back({"route.bias", {rule.bias.size()}, rule.bias});
  return arrays;
}

}  // namespace

OrderedJson to_json(const PolicyFile& file) {
  OrderedJson j;
  j["fathom_policy"] = 1;
  j["kind"] = std::string(file.kind());
  j["model"] = {{"version", file.model.version},
                {"n_layer", file.model.n_layer},
                {"d_model", file.model.d_model},
                {"weights", file.model.weights}};
  j["embedding"] = to_json(file.reading);
  j["layer_numbering"] = "0 = after ln0, i = after block i";
  j["fitted"] = file.fitted;
  j[std::string(file.kind())] =
      std::visit([](const auto& rule) { return to_json(rule); }, file.rule);
  return j;
}

void write_policy_file(const std::filesystem::path& path, const PolicyFile& file) {
  AtomicFile out(path);
  write_policy_file(out, file);
  out.commit();
}

void write_policy_file(AtomicFile& out, const PolicyFile& file) {
  file.check();
  std::vector<NamedArray> arrays;
  if (const auto* exit = std::get_if<ExitRule>(&file.rule))
    arrays = arrays_of(*exit, file.model.d_model);
  else if (const auto* route = std::get_if<RouteRule>(&file.rule))
    arrays = arrays_of(*route);
  if (arrays.empty()) {
    out.stream() << dump_json(to_json(file), 1) << '\n';
    return;
  }
  std::vector<TensorToWrite> tensors;
  for (const NamedArray& a : arrays)
    tensors.push_back(tensor_to_write(a.name, a.shape, std::span<const float>(a.values)));
  write_safetensors(out, tensors, {{"fathom_policy", dump_json(to_json(file))}});
}

}  // namespace fathom
