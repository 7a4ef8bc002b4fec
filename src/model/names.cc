// SPDX-License-Identifier: Apache-2.0
#include "model/names.h"

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "model/config_json.h"
#include "model/names_table.h"
#include "model/quantised.h"
#include "model/unused.h"
#include "model/weight_view.h"

namespace fathom {
namespace {

bool cut_prefix(std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.erase(0, prefix.size());
  return true;
}

// One spelling for what layouts merely call differently: wrappers cut off, blocks.N.att / .ffn.
std::string normalise(std::string name) {
  // PEFT wraps a model, and every matrix that has an adapter.
  cut_prefix(name, "base_model.model.");
  if (const size_t at = name.find(".base_layer."); at != std::string::npos) name.erase(at, 11);
  cut_prefix(name, "model.");
  cut_prefix(name, "rwkv.");
  cut_prefix(name, "rwkv7.");
  for (std::string_view block : {"layers.", "blk."})
    if (cut_prefix(name, block)) name.insert(0, "blocks.");
  if (!name.starts_with("blocks.")) return name;
  const auto replace = [&name](std::string_view from, std::string_view to) {
    if (const size_t at = name.find(from); at != std::string::npos)
      name.replace(at, from.size(), to);
  };
  for (std::string_view attention : {".attention.", ".attn.", ".self_attn."})
    replace(attention, ".att.");
  replace(".feed_forward.", ".ffn.");
  replace(".time_mixer.", ".");
  return name;
}

// A yes or no of config.json; anything else says nothing.
bool says(const Json& config, const char* key, bool value) {
  return config.is_object() && config.contains(key) && config[key] == value;
}

// "ln1.weight" for the bias of a layer norm (not of ln_x, which always has one), else "".
std::string weight_beside(std::string_view canonical) {
  for (std::string_view norm : {"ln0", "ln1", "ln2", "ln_out"})
    if (canonical == concat(norm, ".bias")) return concat(norm, ".weight");
  return {};
}

}  // namespace

std::string_view name_of(TensorLayout layout) {
  switch (layout) {
    case TensorLayout::kBlinkDl:
      return "BlinkDL";
    case TensorLayout::kHuggingFace:
      return "Hugging Face";
    case TensorLayout::kFla:
      return "fla";
    case TensorLayout::kGguf:
      return "GGUF";
    case TensorLayout::kGgmf:
      return "rwkv.cpp";
    case TensorLayout::kWebRwkv:
      return "web-rwkv";
    case TensorLayout::kNative:
      return "native transformers";
  }
  FATHOM_ASSERT(!"unknown TensorLayout");
}

struct Names::Hit {
  const Tensor* tensor;
  Spelling spelling;
  std::string key;  // in by_name_
};

Names::Names(const Checkpoint& checkpoint, std::string_view prefix,
             std::span<const std::string> ignore)
    : config_(&config_json(checkpoint)) {
  for (const Tensor& t : checkpoint.tensors()) {
    if (!t.name.starts_with(prefix)) continue;
    if (matches_any(t.name, ignore)) {
      left_out_.push_back(t.name);
      continue;
    }
    FATHOM_REQUIRE(!t.name.starts_with("rosa") && t.name.find(".rosa") == std::string::npos,
                   "this is RWKV-8 with ROSA (", t.name, "): expected RWKV-4 to RWKV-7");
    all_.push_back(&t);
    const std::string name = normalise(t.name.substr(prefix.size()));
    FATHOM_REQUIRE(by_name_.emplace(name, &t).second, t.name, ": two tensors mean ", name);
    if (const auto block = block_number(name)) n_layer_ = std::max(n_layer_, *block + 1);
  }
  const auto adapter = std::ranges::find_if(
      all_, [](const Tensor* t) { return t->name.find(".lora_") != std::string::npos; });
  FATHOM_REQUIRE(adapter == all_.end() || has("emb.weight"),
                 "this is an adapter without its model (", (*adapter)->name,
                 "): expected the model it was made for, with `adapter` and this");
  FATHOM_REQUIRE(n_layer_ > 0 && n_layer_ <= all_.size(),
                 "no RWKV model: expected tensors of blocks 0, 1, ..., got ", all_.size(),
                 " tensors", all_.empty() ? "" : ", the first called '",
                 all_.empty() ? "" : all_.front()->name, all_.empty() ? "" : "'",
                 all_.size() == 1 && has("emb.weight")
                     ? "; a table of static token embeddings is a baseline: `compare_to` takes it"
                     : "");
  detect_version();
  detect_layout(checkpoint);
  if (prefix.empty()) read_config();
}

// What config.json says of tensors that are not there. A file that holds them all the same is
// refused: the programs that such a config is for would pass them over, and give other numbers.
void Names::read_config() {
  norm_bias_ = !says(*config_, "norm_bias", false);
  const bool no_pre_norm = layout_ == TensorLayout::kFla && says(*config_, "norm_first", false);
  fused_ln0_ = no_pre_norm || says(*config_, "embedding_layer_norm_fused", true);
  tied_head_ = says(*config_, "tie_word_embeddings", true) && !lookup("head.weight", {});
  const auto refuse = [this](std::string_view canonical, std::optional<size_t> block,
                             std::string_view said) {
    const Tensor* t = stored(canonical, block);
    FATHOM_REQUIRE(!t, t ? t->name : "", ": config.json says ", said,
                   "; expected no such tensor (if it belongs to the model, take that out of "
                   "config.json)");
  };
  if (fused_ln0_)
    refuse("ln0.weight", {}, no_pre_norm ? "norm_first false" : "embedding_layer_norm_fused true");
  if (norm_bias_) return;
  for (const char* name : {"ln0.bias", "ln_out.bias"}) refuse(name, {}, "norm_bias false");
  for (size_t i = 0; i < n_layer_; ++i)
    for (const char* name : {"ln1.bias", "ln2.bias"}) refuse(name, i, "norm_bias false");
}

// By tensor names, in this order: docs/layouts.md, "Version by names".
void Names::detect_version() {
  // Of the blocks only: an image encoder beside them (vit.*) may have attention.
  const auto any = [this](std::initializer_list<std::string_view> parts) {
    return std::any_of(by_name_.begin(), by_name_.end(), [&](const auto& entry) {
      return block_number(entry.first) &&
             std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
               return entry.first.find(part) != std::string::npos;
             });
    });
  };
  FATHOM_REQUIRE(
      !any({".qkv.", "_qkv"}),
      "this is RWKV-7b or a hybrid with attention (.qkv.): expected plain RWKV-4 to RWKV-7a");
  FATHOM_REQUIRE(!any({"ffn.enn"}), "this is RWKV-8 (ffn.enn): expected RWKV-4 to RWKV-7");
  FATHOM_REQUIRE(!any({".att.q_proj.", "attn_q.weight", "ffn_gate.weight", "mlp.gate_proj"}),
                 "this is a hybrid with attention or a Qwen MLP: expected plain RWKV-4 to RWKV-7");
  has_deep_embed_ = any({".ffn.s_emb", ".ffn.s0", ".ffn.s1", ".ffn.s2"});
  // Of RWKV-7 alone, so that a file without r_k (adapters, a part of a model) is called by its name.
  if (any({".r_k", "time_mix_r_k", ".att.k_k", ".att.k_a", ".att.x_rwkvag", "time_mix_k_k"})) {
    version_ = Version::kV7;
  } else if (any({".time_maa_x", "x_proj.0.mu", "time_mix_lerp_x", ".att.time_mix_x"})) {
    version_ = Version::kV6;
  } else if (any({".ln_x."})) {
    const Tensor* decay = stored("att.time_decay", 0);
    FATHOM_REQUIRE(decay,
                   "no RWKV model, or a part of one: ln_x is there, but neither r_k (RWKV-7), "
                   "time_maa_x (RWKV-6) nor, in block 0, att.time_decay (RWKV-5); the first of ",
                   all_.size(), " tensors is '", all_.front()->name, "'");
    // One decay a head: (H), (H, 1, 1); one a channel: (H, N).
    size_t wide = 0;
    for (size_t d : decay->shape) wide += d > 1;
    const bool per_channel = wide >= 2 || (decay->shape.size() >= 2 && decay->shape[1] > 1);
    const bool gated = any({".att.gate."});
    FATHOM_REQUIRE(gated || !per_channel,
                   "no att.gate.weight: expected it in RWKV-5 with a decay for each channel");
    version_ = per_channel ? Version::kV5_2 : gated ? Version::kV5_1 : Version::kV5_0;
  } else {
    FATHOM_REQUIRE(any({".time_first"}),
                   "no RWKV model: none of the tensors that tell its version "
                   "(r_k, time_maa_x, ln_x, time_first) is there");
    version_ = Version::kV4;
  }
}

void Names::detect_layout(const Checkpoint& checkpoint) {
  const auto has_name = [this](std::string_view part) {
    return std::any_of(by_name_.begin(), by_name_.end(), [part](const auto& entry) {
      return entry.first.find(part) != std::string::npos;
    });
  };
  if (checkpoint.format() == FileFormat::kGguf) {
    layout_ = TensorLayout::kGguf;
  } else if (checkpoint.format() == FileFormat::kGgmf) {
    layout_ = TensorLayout::kGgmf;
  } else if (has_name("_lora.lora.") || has_name("att.x_proj.") || has_name("w_proj.linear.lora")) {
    layout_ = TensorLayout::kFla;
  } else if ((version_ == Version::kV6 && has_name("att.time_mix_x")) ||
             (version_ == Version::kV5_2 && !has_name("att.time_faaaa"))) {
    layout_ = TensorLayout::kWebRwkv;
  } else if (by_name_.count("embeddings.weight")) {
    layout_ = TensorLayout::kHuggingFace;
  }
  if (version_ == Version::kV7 &&
      (layout_ == TensorLayout::kBlinkDl || layout_ == TensorLayout::kHuggingFace) && is_native())
    layout_ = TensorLayout::kNative;
  // A web-rwkv file of v7 has BlinkDL's names and tells itself by the shape of its LoRAs alone:
  // (rank, d_model) instead of (d_model, rank).
  if (layout_ == TensorLayout::kBlinkDl && version_ == Version::kV7) {
    const Tensor* w1 = stored("att.w1", 0);
    const Tensor* ln = stored("ln1.weight", 0);
    if (w1 && ln && w1->shape.size() == 2 && w1->shape[1] == ln->n_element() &&
        w1->shape[0] != w1->shape[1])
      layout_ = TensorLayout::kWebRwkv;
  }
  loras_out_in_ = layout_ == TensorLayout::kGguf || layout_ == TensorLayout::kGgmf ||
                  layout_ == TensorLayout::kFla || layout_ == TensorLayout::kWebRwkv;
}

// transformers' own RWKV-7 has BlinkDL's names too. It tells itself by a prefix or an embedding
// that BlinkDL's files do not have, by LoRA matrices that are linear layers, or by its config.
bool Names::is_native() const {
  const bool embeddings = by_name_.count("embeddings.weight") > 0;
  return says(*config_, "embedding_layer_norm_fused", true) ||
         std::any_of(all_.begin(), all_.end(), [&](const Tensor* t) {
           const std::string_view name = t->name;
           return name.starts_with("rwkv7.") || name.ends_with(".att.w1.weight") ||
                  (embeddings && name.ends_with(".att.r_k"));
         });
}

std::optional<Names::Hit> Names::lookup(std::string_view canonical,
                                        std::optional<size_t> block) const {
  const std::string prefix = block ? concat("blocks.", *block, ".") : std::string();
  const auto match = [&](const Spelling& spelling) -> std::optional<Hit> {
    const auto it = by_name_.find(prefix + std::string(spelling.name));
    if (it == by_name_.end()) return std::nullopt;
    return Hit{it->second, spelling, it->first};
  };
  const std::span<const NameRow> rows = block ? block_rows() : model_rows();
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [&](const NameRow& r) { return r.canonical == canonical; });
  const bool lists_itself =
      row != rows.end() && std::any_of(row->spellings.begin(), row->spellings.end(),
                                       [&](const Spelling& s) { return s.name == canonical; });
  if (!lists_itself)
    if (auto hit = match({canonical, View::kSame, 0})) return hit;
  if (row != rows.end())
    for (const Spelling& spelling : row->spellings)
      if (auto hit = match(spelling)) return hit;
  return std::nullopt;
}

bool Names::has(std::string_view canonical, std::optional<size_t> block) const {
  return lookup(canonical, block).has_value();
}

const Tensor* Names::stored(std::string_view canonical, std::optional<size_t> block) const {
  const auto hit = lookup(canonical, block);
  return hit ? hit->tensor : nullptr;
}

std::optional<SourceWeight> Names::find(std::string_view canonical, std::optional<size_t> block) {
  if (tied_head_ && !block && canonical == "head.weight") canonical = "emb.weight";
  const auto hit = lookup(canonical, block);
  if (!hit) return find_zeros(canonical, block);
  used_.insert(hit->tensor);
  SourceWeight weight{take_view(*hit->tensor, hit->spelling,
                                {.n_fused = version_ == Version::kV7 ? size_t{6} : kLoraGroups,
                                 .loras_out_in = loras_out_in_})};
  add_scales(*hit, weight);
  add_updates(*hit, weight);
  return weight;
}

// Another tensor of the module that a normalised name belongs to.
const Tensor* Names::sibling(std::string_view weight_name, std::string_view ending) const {
  constexpr std::string_view kWeight = ".weight";
  if (weight_name.ends_with(kWeight)) weight_name.remove_suffix(kWeight.size());
  const auto it = by_name_.find(concat(weight_name, ending));
  return it == by_name_.end() ? nullptr : it->second;
}

void Names::add_scales(const Hit& hit, SourceWeight& weight) {
  const auto scales = scales_of(
      *hit.tensor, [&](std::string_view ending) { return sibling(hit.key, ending); }, *config_);
  if (!scales) return;
  used_.insert(scales->used.begin(), scales->used.end());
  weight.scheme = scales->scheme;
  weight.scale_divisor = scales->divisor;
  for (const Tensor& part : weight.parts)
    weight.row_scales.push_back(
        scales->scale.n_element() == 1
            ? scales->scale
            : scales_of_view(*hit.tensor, part, hit.spelling.view, scales->scale));
}

void Names::add_updates(const Hit& hit, SourceWeight& weight) const {
  const auto at = updates_.find(hit.tensor);
  if (at == updates_.end()) return;
  const View view = hit.spelling.view;
  const bool whole = view != View::kLoraGroup && view != View::kSlice && view != View::kFlaRows &&
                     view != View::kFlaCols;
  for (const LowRankUpdate& update : at->second) {
    FATHOM_REQUIRE(
        whole && update.up.shape[0] == weight.rows() && update.down.shape[1] == weight.cols(),
        update.up.name, ": an update of (", update.up.shape[0], ", ", update.down.shape[1],
        ") does not fit ", hit.tensor->name, ", (", weight.rows(), ", ", weight.cols(),
        ") as (out, in)");
    weight.updates.push_back(update);
  }
}

bool Names::merge(const std::string& module, const LowRankUpdate& update) {
  const std::string name = normalise(module + ".weight");
  const auto give = [&](const Tensor* t) {
    if (t) updates_[t].push_back(update);
    return t != nullptr;
  };
  if (const auto it = by_name_.find(name); it != by_name_.end()) return give(it->second);
  // The adapter may be made for another layout of the model: find the weight that its name means.
  const auto block = block_number(name);
  const std::string prefix = block ? concat("blocks.", *block, ".") : std::string();
  const std::string rest = name.substr(prefix.size());
  for (const NameRow& row : block ? block_rows() : model_rows()) {
    const bool means =
        row.canonical == rest || std::any_of(row.spellings.begin(), row.spellings.end(),
                                             [&](const Spelling& s) { return s.name == rest; });
    if (means && stored(row.canonical, block)) return give(stored(row.canonical, block));
  }
  return false;
}

// The bias that config.json says the layer norms have not.
std::optional<SourceWeight> Names::find_zeros(std::string_view canonical,
                                              std::optional<size_t> block) const {
  const std::string beside = norm_bias_ ? "" : weight_beside(canonical);
  const Tensor* weight = beside.empty() ? nullptr : stored(beside, block);
  if (!weight) return std::nullopt;
  return SourceWeight{{zero_row(std::string(canonical), weight->n_element())}};
}

SourceWeight Names::get(std::string_view canonical, std::optional<size_t> block) {
  if (auto weight = find(canonical, block)) return *std::move(weight);
  std::string message =
      concat("missing tensor ", block ? concat("blocks.", *block, ".") : "", canonical, " (RWKV-",
             name_of(version_), ", ", name_of(layout_), " layout); also looked for");
  for (const NameRow& row : block ? block_rows() : model_rows())
    if (row.canonical == canonical)
      for (const Spelling& s : row.spellings) message += concat(" ", s.name);
  if (canonical == "ln0.weight")
    message += ", and no config.json says embedding_layer_norm_fused true";
  else if (!weight_beside(canonical).empty())
    message += ", and no config.json says norm_bias false";
  require_not_packed(canonical, block);
  throw Error(message);
}

// A weight that is there under another program's name for packed numbers is named as such.
void Names::require_not_packed(std::string_view canonical, std::optional<size_t> block) const {
  std::vector<std::string_view> names = {canonical};
  for (const NameRow& row : block ? block_rows() : model_rows())
    if (row.canonical == canonical)
      for (const Spelling& s : row.spellings) names.push_back(s.name);
  for (std::string_view name : names) {
    const std::string full = concat(block ? concat("blocks.", *block, ".") : "", name);
    const std::string packed =
        packed_scheme([&](std::string_view ending) { return sibling(full, ending); }, *config_);
    FATHOM_REQUIRE(packed.empty(), full, ": stored as ", packed, ", which is not read; ",
                   "expected floats, ggml's blocks, or int8 or float8 with scales");
  }
}

std::vector<std::string> Names::unused() const {
  std::vector<std::string> names;
  for (const Tensor* t : all_)
    if (!used_.count(t)) names.push_back(t->name);
  return names;
}

}  // namespace fathom
