// SPDX-License-Identifier: Apache-2.0
#include "depth/policy_file.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/dtype.h"
#include "base/error.h"
#include "base/invalid_option.h"
#include "base/parse_whole.h"
#include "model/names.h"

namespace fathom {
namespace {

// FNV-1a, 64 bits (Fowler, Noll, Vo). Tells models apart; keeps nobody from forging one.
class Fnv1a {
 public:
  void add(uint64_t value, int n_byte) {
    for (int i = 0; i < n_byte; ++i) {
      hash_ ^= value >> (8 * i) & 0xff;
      hash_ *= 0x100000001b3u;
    }
  }
  std::string hex() const {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string text;
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[hash_ >> shift & 15];
    return text;
  }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

std::string describe(const ModelFingerprint& m) {
  return concat("RWKV-", m.version, " of ", m.n_layer, " layers of ", m.d_model, ", weights ",
                m.weights);
}

size_t parse_depth(std::string_view text, size_t n_layer) {
  const std::optional<size_t> depth = parse_whole(text);
  if (!depth || *depth > n_layer)
    throw InvalidOption("depth", concat("fixed:L with a layer L from 0 to ", n_layer),
                        concat("'fixed:", text, "'"));
  return *depth;
}

}  // namespace

ModelFingerprint fingerprint_of(const Model& model) {
  const Config& c = model.config();
  Fnv1a hash;
  for (size_t d : {c.n_vocab, c.n_layer, c.d_model, c.d_att, c.d_ffn, c.head_size}) hash.add(d, 8);
  for (char digit : model.adapter_hash()) hash.add(static_cast<unsigned char>(digit), 1);
  Names names = model.names();
  const auto add = [&](const char* name, std::optional<size_t> block) {
    const SourceWeight weight = names.get(name, block);
    std::vector<float> values(weight.rows() * weight.cols());
    read_rows(weight, 0, weight.rows(), values.data());
    for (float v : values) hash.add(to_bf16(v).bits, 2);
  };
  for (size_t i = 0; i < c.n_layer; ++i)
    for (const char* name : {"ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias"}) add(name, i);
  add("ln_out.weight", std::nullopt);
  add("ln_out.bias", std::nullopt);
  return {std::string(name_of(c)), c.n_layer, c.d_model, hash.hex()};
}

std::string_view PolicyFile::kind() const {
  constexpr std::string_view kKinds[] = {"mask", "exit", "route"};
  return kKinds[rule.index()];
}

void PolicyFile::check() const {
  if (const auto* mask = std::get_if<BlockMask>(&rule))
    FATHOM_REQUIRE(
        mask->time_mix.size() == model.n_layer && mask->channel_mix.size() == model.n_layer,
        "mask: expected ", model.n_layer, " blocks, got ", mask->time_mix.size(), " and ",
        mask->channel_mix.size());
  else if (const auto* exit = std::get_if<ExitRule>(&rule))
    exit->check(model.n_layer, model.d_model);
  else
    std::get<RouteRule>(rule).check(model.n_layer, model.d_model);
}

void require_model(const PolicyFile& file, const Model& model, const std::string& name) {
  const ModelFingerprint here = fingerprint_of(model);
  FATHOM_REQUIRE(file.model == here, name, ": fitted for another model (", describe(file.model),
                 "); this one is ", describe(here), ": fit a policy for it");
}

std::unique_ptr<DepthPolicy> make_policy(std::string name, PolicyRule rule) {
  if (auto* mask = std::get_if<BlockMask>(&rule))
    return std::make_unique<MaskedDepth>(std::move(name), std::move(*mask));
  if (auto* exit = std::get_if<ExitRule>(&rule))
    return std::make_unique<EarlyExit>(std::move(name), std::move(*exit));
  return std::make_unique<RoutedDepth>(std::move(name), std::get<RouteRule>(std::move(rule)));
}

namespace {

// A value of --depth, taken apart.
struct DepthText {
  std::string kind, rest;  // "fixed" and "6"; "full" and ""; "mask", "exit", "route" and the file
};

DepthText split_depth(std::string_view text) {
  const size_t colon = text.find(':');
  if (text == "full") return {"full", {}};
  DepthText parts{std::string(text.substr(0, colon)),
                  colon == text.npos ? std::string() : std::string(text.substr(colon + 1))};
  const bool from_file = parts.kind == "mask" || parts.kind == "exit" || parts.kind == "route";
  if ((parts.kind == "fixed" && colon != text.npos) || (from_file && !parts.rest.empty()))
    return parts;
  std::error_code ignored;
  const std::filesystem::path path(text);
  if (!std::filesystem::is_regular_file(path, ignored))
    throw InvalidOption(
        "depth", "full, fixed:L, or a policy file: FILE, or mask:FILE, exit:FILE, route:FILE",
        concat("'", text, "', which is no file"));
  return {std::string(read_policy_file(path).kind()), std::string(text)};
}

PolicyFile read_policy_of(const DepthText& parts, std::string_view text) {
  PolicyFile file = read_policy_file(parts.rest);
  if (file.kind() != parts.kind)
    throw InvalidOption("depth", concat(file.kind(), ":", parts.rest), concat("'", text, "'"),
                        concat("that file is of kind ", file.kind()));
  return file;
}

}  // namespace

DepthChoice open_depth(std::string_view text, const Model& model) {
  const DepthText parts = split_depth(text);
  if (parts.kind == "full") return {};
  if (parts.kind == "fixed")
    return {std::make_unique<FixedDepth>(parse_depth(parts.rest, model.config().n_layer)), {}};
  PolicyFile file = read_policy_of(parts, text);
  require_model(file, model, parts.rest);
  auto policy = make_policy(concat(parts.kind, ":", parts.rest), std::move(file.rule));
  return {std::move(policy), std::move(file)};
}

std::optional<std::filesystem::path> depth_file(std::string_view text) {
  const DepthText parts = split_depth(text);
  if (parts.kind == "full" || parts.kind == "fixed") return std::nullopt;
  return std::filesystem::path(parts.rest);
}

std::vector<std::string> class_names(const DepthChoice& choice) {
  const auto* exit = dynamic_cast<const EarlyExit*>(choice.policy.get());
  if (!exit || !choice.file || !choice.file->fitted.is_object()) return {};
  const auto classes = choice.file->fitted.find("classes");
  if (classes == choice.file->fitted.end() || !classes->is_array()) return {};
  std::vector<std::string> names;
  for (const OrderedJson& name : *classes)
    if (name.is_string()) names.push_back(name.get<std::string>());
  return names.size() == exit->rule().n_class ? names : std::vector<std::string>();
}

size_t deepest_block(std::string_view text, size_t n_layer) {
  const DepthText parts = split_depth(text);
  if (parts.kind == "fixed") return parse_depth(parts.rest, n_layer);
  if (parts.kind != "mask") return n_layer;
  const PolicyFile file = read_policy_of(parts, text);
  // Of another model it may be deeper: open_depth() will say so.
  return std::min(n_layer, std::get<BlockMask>(file.rule).depth());
}

}  // namespace fathom
