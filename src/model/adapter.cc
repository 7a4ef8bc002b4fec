// SPDX-License-Identifier: Apache-2.0
#include "model/adapter.h"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "base/error.h"
#include "base/hash.h"
#include "base/mapped_file.h"
#include "formats/checkpoint_json.h"
#include "formats/checks.h"
#include "formats/locate.h"
#include "model/model.h"
#include "model/names.h"
#include "model/unused.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightFiles[] = {"adapter_model.safetensors", "adapter_model.bin"};

// Fields of adapter_config.json that change nothing about W + factor B A, or only how it was
// trained.
constexpr std::string_view kHarmlessKeys[] = {"auto_mapping",
                                              "base_model_name_or_path",
                                              "exclude_modules",
                                              "inference_mode",
                                              "layers_pattern",
                                              "layers_to_transform",
                                              "lora_alpha",
                                              "lora_dropout",
                                              "megatron_core",
                                              "peft_type",
                                              "peft_version",
                                              "qalora_group_size",
                                              "r",
                                              "revision",
                                              "target_modules",
                                              "task_type",
                                              "use_rslora",
                                              "runtime_config",
                                              "bias",
                                              "init_lora_weights",
                                              "loftq_config",
                                              "eva_config",
                                              "corda_config"};

bool says_nothing(const Json& value) {
  return value.is_null() || value == false || value == "" ||
         ((value.is_object() || value.is_array()) && value.empty());
}

void require_plain(const Json& config) {
  for (const auto& [key, value] : config.items()) {
    const bool harmless = std::find(std::begin(kHarmlessKeys), std::end(kHarmlessKeys), key) !=
                          std::end(kHarmlessKeys);
    FATHOM_REQUIRE(harmless || says_nothing(value), excerpt(key), ": ", excerpt(dump_json(value)),
                   " is not merged; only plain LoRA (W + alpha/r B A) is");
  }
  const auto at = [&](const char* key) {
    return config.contains(key) ? config[key] : Json(nullptr);
  };
  FATHOM_REQUIRE(at("peft_type") == "LORA", "peft_type: expected LORA, got ",
                 excerpt(dump_json(at("peft_type"))));
  FATHOM_REQUIRE(at("bias").is_null() || at("bias") == "none",
                 "bias: ", excerpt(dump_json(at("bias"))), " is not merged; expected none");
  // These change the base model when they begin, so that alpha/r B A alone is not the difference.
  const Json init = at("init_lora_weights");
  FATHOM_REQUIRE(init.is_null() || init.is_boolean() || init == "gaussian" || init == "eva" ||
                     init == "orthogonal",
                 "init_lora_weights: ", excerpt(dump_json(init)),
                 " is not merged: it changes the base model, too");
}

// "default.weight", "weight", "default" or nothing behind lora_A; the name in front is the
// adapter's.
bool is_plain_ending(std::string_view rest) {
  if (rest.empty()) return true;
  if (rest.front() != '.') return false;
  rest.remove_prefix(1);
  if (rest == "weight") return true;
  if (rest.ends_with(".weight")) rest.remove_suffix(7);
  return !rest.empty() && rest.find('.') == rest.npos && rest != "bias";
}

double factor_of(const LoraConfig& config, size_t rank) {
  const auto r = static_cast<double>(rank);
  return config.alpha / (config.rank_stabilised ? std::sqrt(r) : r);
}

LoraConfig read_config(const fs::path& path) {
  const MappedFile file(path);
  return naming(path.string(), [&] { return parse_adapter_config(file.text()); });
}

}  // namespace

void add_rows(const LowRankUpdate& update, size_t begin, size_t n_row, float* values) {
  const size_t rank = update.down.shape[0], cols = update.down.shape[1];
  std::vector<float> down(rank * cols), up(n_row * rank);
  read_f32(update.down, 0, down.size(), down);
  read_f32(update.up, begin * rank, (begin + n_row) * rank, up);
  std::vector<double> sum(cols);
  for (size_t r = 0; r < n_row; ++r) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (size_t k = 0; k < rank; ++k) {
      const double b = up[r * rank + k];
      for (size_t c = 0; c < cols; ++c) sum[c] += b * double{down[k * cols + c]};
    }
    float* const row = values + r * cols;
    for (size_t c = 0; c < cols; ++c)
      row[c] = static_cast<float>(double{row[c]} + update.factor * sum[c]);
  }
}

LoraConfig parse_adapter_config(std::string_view text) {
  const Json config = parse_json_object(text);
  require_plain(config);
  const auto number = [&](const char* key) {
    FATHOM_REQUIRE(config.contains(key) && config[key].is_number(), key, ": expected a number");
    return config[key].get<double>();
  };
  const double r = number("r");
  FATHOM_REQUIRE(r >= 1 && r <= 65536 && r == std::floor(r), "r: expected a rank, got ", r);
  LoraConfig lora;
  lora.rank = static_cast<size_t>(r);
  lora.alpha = number("lora_alpha");
  FATHOM_REQUIRE(std::isfinite(lora.alpha), "lora_alpha: expected a number");
  if (config.contains("use_rslora") && !config["use_rslora"].is_null()) {
    FATHOM_REQUIRE(config["use_rslora"].is_boolean(), "use_rslora: expected true or false");
    lora.rank_stabilised = config["use_rslora"].get<bool>();
  }
  return lora;
}

std::optional<LoraName> parse_lora_name(const std::string& name) {
  for (const bool up : {false, true}) {
    const std::string_view part = up ? ".lora_B" : ".lora_A";
    const size_t at = name.rfind(part);
    if (at == name.npos || at == 0) continue;
    if (!is_plain_ending(std::string_view(name).substr(at + part.size()))) continue;
    return LoraName{name.substr(0, at), up};
  }
  return std::nullopt;
}

// One adapter: a file of its own, or matrices in the model's.
struct Adapters::Part {
  struct Pair {
    const Tensor *down = nullptr, *up = nullptr;
  };
  std::optional<Checkpoint> file;     // nullopt: the model's
  std::map<std::string, Pair> pairs;  // by module
  LoraConfig config;
  std::string source;

  void add(const Tensor& t, const LoraName& name) {
    const Tensor*& place = name.is_up ? pairs[name.module].up : pairs[name.module].down;
    FATHOM_REQUIRE(!place, t.name, ": a second adapter (beside ", place->name,
                   "); expected one for each weight");
    place = &t;
  }
  LowRankUpdate update(const std::string& module, const Pair& pair) const {
    FATHOM_REQUIRE(pair.down && pair.up, module, ": expected lora_A and lora_B, got only ",
                   (pair.down ? pair.down : pair.up)->name);
    for (const Tensor* t : {pair.down, pair.up})
      FATHOM_REQUIRE(is_float(t->dtype) && t->shape.size() == 2 && t->n_element() > 0, t->name,
                     ": expected a matrix of floats, got ", type_name(*t), " of ", t->shape.size(),
                     " dimensions");
    const size_t rank = pair.down->shape[0];
    FATHOM_REQUIRE(pair.up->shape[1] == rank, module, ": lora_A has ", rank, " rows, lora_B has ",
                   pair.up->shape[1], " columns; expected the same rank");
    FATHOM_REQUIRE(config.rank == 0 || config.rank == rank, module, ": rank ", rank, ", but ",
                   kConfigFile, " says r = ", config.rank);
    return {*pair.down, *pair.up, factor_of(config, rank)};
  }
};

Adapters::Adapters() = default;
Adapters::Adapters(Adapters&&) noexcept = default;
Adapters& Adapters::operator=(Adapters&&) noexcept = default;
Adapters::~Adapters() = default;

namespace {

fs::path weights_of(const fs::path& adapter) {
  std::error_code ignored;
  if (!fs::is_directory(adapter, ignored)) return adapter;
  for (const char* name : kWeightFiles)
    if (is_there(adapter / name)) return adapter / name;
  return adapter;
}

LoraConfig config_for(const fs::path& folder, const ModelOptions& options,
                      const std::string& source) {
  if (is_there(folder / kConfigFile)) return read_config(folder / kConfigFile);
  FATHOM_REQUIRE(options.adapter_alpha, source, ": its alpha is not known: expected ", kConfigFile,
                 " beside it, or `adapter_alpha`");
  LoraConfig config;
  config.alpha = *options.adapter_alpha;
  return config;
}

}  // namespace

Adapters Adapters::open(const Checkpoint& model, const ModelOptions& options) {
  Adapters all;
  auto inside = std::make_unique<Part>();
  inside->source = model.files().front().string();
  for (const Tensor& t : model.tensors())
    if (t.name.starts_with(options.prefix) && !matches_any(t.name, options.ignore_tensors))
      if (const auto name = parse_lora_name(t.name.substr(options.prefix.size())))
        inside->add(t, *name);
  const bool alpha_known = is_there(model.directory() / kConfigFile) || options.adapter_alpha;
  if (!inside->pairs.empty() && alpha_known) {
    inside->config = config_for(model.directory(), options, inside->source);
    all.parts_.push_back(std::move(inside));
  }
  if (!options.adapter.empty()) {
    const fs::path path = weights_of(options.adapter);
    auto part = std::make_unique<Part>();
    part->source = path.string();
    part->file.emplace(Checkpoint::open(path));
    part->config = config_for(part->file->directory(), options, path.string());
    for (const Tensor& t : part->file->tensors()) {
      const auto name = parse_lora_name(t.name);
      const std::string what = meaning_of_unused(t.name);
      FATHOM_REQUIRE(name, path.string(), ": ", t.name, what.empty() ? "" : " (" + what + ")",
                     ": only the lora_A and lora_B of plain LoRA are merged");
      part->add(t, *name);
    }
    all.parts_.push_back(std::move(part));
  }
  for (const auto& part : all.parts_) {
    AdapterInfo info{part->source, 0, part->config.alpha, 0, part->pairs.size()};
    for (const auto& [module, pair] : part->pairs) {
      const LowRankUpdate update = part->update(module, pair);
      info.rank = std::max(info.rank, update.down.shape[0]);
      info.factor = update.factor;
    }
    all.info_.push_back(std::move(info));
  }
  return all;
}

void Adapters::merge_into(Names& names) const {
  for (const auto& part : parts_) {
    std::vector<std::string> lost;
    for (const auto& [module, pair] : part->pairs) {
      if (!names.merge(module, part->update(module, pair))) lost.push_back(module);
      names.mark_used(pair.down);
      names.mark_used(pair.up);
    }
    FATHOM_REQUIRE(lost.empty(), part->source, ": ", lost.size(), " of its ", part->pairs.size(),
                   " pairs change no weight of the model: ", first_three(lost));
  }
}

const std::vector<AdapterInfo>& Adapters::info() const { return info_; }

std::string Adapters::hash() const {
  if (parts_.empty()) return {};
  std::string text;
  for (const auto& part : parts_)
    for (const auto& [module, pair] : part->pairs) {
      const LowRankUpdate u = part->update(module, pair);
      text += concat(module, ' ', u.factor);
      for (const Tensor* t : {&u.down, &u.up}) {
        text += concat(' ', name_of(t->dtype), ' ', hex_of(hash_of(t->bytes)));
        for (size_t d : t->shape) text += concat(' ', d);
        for (size_t s : t->strides) text += concat(" by ", s);
      }
      text += '\n';
    }
  return hash_text(text);
}

std::string adapter_beside(const Checkpoint& model) {
  for (const char* name : {kWeightFiles[0], kWeightFiles[1], kConfigFile}) {
    const fs::path path = model.directory() / name;
    const auto& files = model.files();
    if (is_there(path) && std::find(files.begin(), files.end(), path) == files.end())
      return path.string();
  }
  return {};
}

}  // namespace fathom
