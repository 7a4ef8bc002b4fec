// SPDX-License-Identifier: Apache-2.0
#include "model/config.h"

#include <cmath>

#include "base/error.h"
#include "model/config_json.h"
#include "model/inspect.h"
#include "model/model.h"

namespace fathom {
namespace {

// A GGUF value `<architecture>.<key>`, or nullopt.
std::optional<double> gguf_number(const Checkpoint& checkpoint, std::string_view key) {
  const auto& meta = checkpoint.metadata();
  const auto architecture = meta.find("general.architecture");
  if (architecture == meta.end()) return std::nullopt;
  const auto* name = std::get_if<std::string_view>(&architecture->second);
  if (!name) return std::nullopt;
  const auto value = meta.find(concat(*name, ".", key));
  if (value == meta.end()) return std::nullopt;
  if (const auto* u = std::get_if<uint64_t>(&value->second)) return static_cast<double>(*u);
  if (const auto* i = std::get_if<int64_t>(&value->second)) return static_cast<double>(*i);
  if (const auto* d = std::get_if<double>(&value->second)) return *d;
  return std::nullopt;
}

// A number of config.json, or nullopt.
std::optional<double> json_number(const Json& config, const char* key) {
  if (!config.is_object()) return std::nullopt;
  const auto it = config.find(key);
  if (it == config.end() || !it->is_number()) return std::nullopt;
  return it->get<double>();
}

// H of a tensor of block 0 shaped (H, N) or (H, N, 1), or nullopt if it is flat: (A) or (1, 1, A).
std::optional<size_t> heads_of(Names& names, const char* name) {
  names.get(name, 0);  // throws if there is none
  std::vector<size_t> shape = names.stored(name, 0)->shape;
  while (!shape.empty() && shape.back() == 1) shape.pop_back();
  const bool padded = shape.size() > 2;
  while (shape.size() > 2 && shape.front() == 1) shape.erase(shape.begin());
  if (shape.size() != 2 || (padded && shape[0] == 1)) return std::nullopt;
  return shape[0];
}

size_t find_head_size(Names& names, const Checkpoint& checkpoint, const Config& c) {
  std::optional<size_t> n_head;
  switch (c.version) {
    case Version::kV4:
      return 1;
    case Version::kV5_0:
    case Version::kV5_1:
      n_head = names.stored("att.time_decay", 0)->n_element();
      break;
    case Version::kV5_2:
      n_head = heads_of(names, "att.time_decay");
      break;
    case Version::kV6:
      n_head = heads_of(names, bonus_name(names, 0));
      break;
    case Version::kV7:
      n_head = heads_of(names, "att.r_k");
      break;
  }
  if (n_head) {
    FATHOM_REQUIRE(*n_head > 0 && c.d_att % *n_head == 0, "blocks.0.att: ", *n_head,
                   " heads do not divide the attention width ", c.d_att);
    return c.d_att / *n_head;
  }
  // Flat tensors (GGUF) do not tell; only then is the file's word taken.
  std::optional<double> size = gguf_number(checkpoint, "wkv.head_size");
  if (!size) size = json_number(names.config(), "head_size");
  if (!size) size = json_number(names.config(), "head_dim");
  FATHOM_REQUIRE(size && *size >= 1 && *size <= 65536 && *size == std::floor(*size) &&
                     c.d_att % static_cast<size_t>(*size) == 0,
                 "head size: neither the shapes nor the metadata give one that divides ", c.d_att);
  return static_cast<size_t>(*size);
}

// The layer norms' epsilon as the user or the file gives it, or nullopt. Every RWKV was trained with
// 1e-5: far from it, the file is damaged or of another model.
std::optional<double> given_ln_eps(const Checkpoint& checkpoint, const Json& config,
                                   const ModelOptions& options) {
  constexpr double kLargest = 1e-3;
  if (options.ln_eps) return *options.ln_eps;
  const auto checked = [&](double eps, std::string_view field) {
    FATHOM_REQUIRE(eps > 0 && eps <= kLargest, field, " is ", eps,
                   "; expected above 0 and at most ", kLargest,
                   " (RWKV has 1e-05); `ln_eps` X takes X instead, whatever it is");
    return eps;
  };
  if (const auto eps = gguf_number(checkpoint, "attention.layer_norm_epsilon"))
    return checked(*eps, "GGUF's attention.layer_norm_epsilon");
  for (const char* key : {"layer_norm_epsilon", "norm_eps"})
    if (const auto eps = json_number(config, key))
      return checked(*eps, concat((checkpoint.directory() / "config.json").string(), ": ", key));
  return std::nullopt;
}

// The group norm's epsilon of RWKV-7 in BlinkDL's names, as the config.json of a native model gives
// it, or nullopt.
std::optional<double> native_ln_x_eps(const Json& config, TensorLayout layout, const Config& c,
                                      ModelInfo& info) {
  const bool names_fit = layout == TensorLayout::kNative || layout == TensorLayout::kBlinkDl ||
                         layout == TensorLayout::kHuggingFace;
  if (c.version != Version::kV7 || !names_fit) return std::nullopt;
  const auto in_range = [](std::optional<double> eps) { return eps && *eps > 0 && *eps < 1; };
  if (const auto eps = json_number(config, "group_norm_epsilon"); in_range(eps)) {
    info.ln_x_eps_reason = "config.json: group_norm_epsilon";
    return eps;
  }
  const auto eps = json_number(config, "norm_eps");
  if (!in_range(eps)) return std::nullopt;
  info.ln_x_eps_reason = "config.json: head size * norm_eps";
  return static_cast<double>(c.head_size) * *eps;
}

void choose_eps(const Names& names, const Checkpoint& checkpoint, const ModelOptions& options,
                Config& c, ModelInfo& info) {
  const Json& config = names.config();
  const TensorLayout layout = names.layout();
  const std::optional<double> ln = given_ln_eps(checkpoint, config, options);
  if (ln) c.ln_eps = static_cast<float>(*ln);

  const bool v5 =
      c.version == Version::kV5_0 || c.version == Version::kV5_1 || c.version == Version::kV5_2;
  if (c.version == Version::kV4) {
    info.ln_x_eps_reason = "none: RWKV-4 has no group norm";
  } else if (options.ln_x_eps) {
    c.ln_x_eps = *options.ln_x_eps;
    info.ln_x_eps_reason = "given by the user";
  } else if (layout == TensorLayout::kGgmf && v5) {
    c.ln_x_eps = 1e-5f;
    info.ln_x_eps_reason = "rwkv.cpp evaluates RWKV-5 with 1e-5";
  } else if (layout == TensorLayout::kFla && c.version == Version::kV7) {
    c.ln_x_eps = static_cast<float>(static_cast<double>(c.head_size) * (ln ? *ln : 1e-5));
    info.ln_x_eps_reason = "fla: head_dim * norm_eps";
  } else if (const auto divisor = json_number(config, "head_size_divisor");
             divisor && *divisor >= 1 && layout == TensorLayout::kHuggingFace) {
    c.ln_x_eps = static_cast<float>(1e-5 * *divisor * *divisor);
    info.ln_x_eps_reason = "config.json: 1e-5 * head_size_divisor^2";
  } else if (const auto native = native_ln_x_eps(config, layout, c, info)) {
    c.ln_x_eps = static_cast<float>(*native);
  } else {
    c.ln_x_eps = 64e-5f;
    info.ln_x_eps_reason = "default: 1e-5 * 8^2";
  }
}

// The tables are (n_vocab, n_in n_out); the matrices beside them say which two factors.
DeepEmbed find_deep_embed(Names& names, const Config& c) {
  FATHOM_REQUIRE(c.version == Version::kV7, "ffn.s_emb (DeepEmbed) in RWKV-", name_of(c.version),
                 ": expected it in RWKV-7 only");
  FATHOM_REQUIRE(names.layout() == TensorLayout::kBlinkDl, "RWKV-7a (DeepEmbed) in the layout of ",
                 name_of(names.layout()), ": expected BlinkDL's names and shapes");
  DeepEmbed deep{.n_in = names.get("ffn.s1", 0).rows(), .n_out = names.get("ffn.s2", 0).cols()};
  constexpr size_t kMost = 4096;  // 32 in every model: rows of 1024 numbers
  FATHOM_REQUIRE(
      deep.n_in > 0 && deep.n_in <= kMost && deep.n_out > 0 && deep.n_out <= kMost,
      "blocks.0.ffn.s1 and s2: expected (d_model, n) and (m, d_ffn) with n and m from 1 to ", kMost,
      ", got ", deep.n_in, " and ", deep.n_out);
  for (size_t i = 0; i < c.n_layer; ++i)
    deep.from_embedding = deep.from_embedding || names.has("ffn.s_emb_x.weight", i);
  return deep;
}

}  // namespace

Config config_of(Names& names, const Checkpoint& checkpoint, const ModelOptions& options,
                 ModelInfo& info) {
  Config c;
  c.version = names.version();
  c.n_layer = names.n_layer();
  const SourceWeight embedding = names.get("emb.weight");
  c.n_vocab = embedding.rows();
  c.d_model = embedding.cols();
  FATHOM_REQUIRE(c.n_vocab > 0 && c.d_model > 0, "emb.weight: expected (n_vocab, d_model), got (",
                 c.n_vocab, ", ", c.d_model, ")");
  c.d_att = names.get("att.key.weight", 0).rows();
  c.d_ffn = names.get("ffn.key.weight", 0).rows();
  FATHOM_REQUIRE(c.d_att > 0, "blocks.0.att.key.weight: expected (d_att, ", c.d_model,
                 "), got no rows");
  c.has_head = names.has("head.weight") || names.has_tied_head();
  c.has_ln0 = !names.has_fused_ln0();
  c.has_gate = c.version >= Version::kV5_1;
  if (c.version == Version::kV6) {
    const size_t rows = names.get("att.time_maa_w1", 0).rows();
    FATHOM_REQUIRE(rows > 0 && rows % 5 == 0, "blocks.0.att.time_maa_w1: expected 5 * rank, got ",
                   rows);
    c.rank.mix = rows / 5;
    c.rank.decay = names.get("att.time_decay_w1", 0).rows();
  } else if (c.version == Version::kV7) {
    c.rank.decay = names.get("att.w1", 0).rows();
    c.rank.iclr = names.get("att.a1", 0).rows();
    c.rank.gate = names.get("att.g1", 0).rows();
    if (c.n_layer > 1) c.rank.value = names.get("att.v1", 1).rows();
  }
  c.head_size = find_head_size(names, checkpoint, c);
  if (names.has_deep_embed()) c.deep_embed = find_deep_embed(names, c);
  info.layout = names.layout();
  if (std::string why = why_config_is_not_used(checkpoint); !why.empty())
    info.notes.push_back(std::move(why));
  choose_eps(names, checkpoint, options, c, info);
  return c;
}

}  // namespace fathom
