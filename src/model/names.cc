// SPDX-License-Identifier: Apache-2.0
#include "model/names.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "base/error.h"
#include "model/config_json.h"
#include "model/names_table.h"
#include "model/quantised.h"
#include "model/unused.h"

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

// The number N of "blocks.N.rest", or nullopt.
std::optional<size_t> block_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blocks.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  size_t block = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), block);
  if (error != std::errc{} || end == name.data() + name.size() || *end != '.') return std::nullopt;
  return block;
}

// The tensor without dimensions of size 1 in front, as (rows, cols) with explicit strides.
Tensor as_matrix(const Tensor& stored) {
  Tensor t = stored;
  if (t.strides.empty()) {
    t.strides.assign(t.shape.size(), 1);
    for (size_t i = t.shape.size(); i-- > 1;) t.strides[i - 1] = t.strides[i] * t.shape[i];
  }
  for (size_t i = 0; i < t.shape.size() && t.shape.size() > 1;) {
    if (t.shape[i] == 1) {
      t.shape.erase(t.shape.begin() + static_cast<std::ptrdiff_t>(i));
      t.strides.erase(t.strides.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  while (t.shape.size() < 2) {
    t.shape.insert(t.shape.begin(), 1);
    t.strides.insert(t.strides.begin(), t.shape.back() * t.strides.back());
  }
  return t;
}

// Quantised tensors are stored in whole rows and cannot be seen any other way.
void require_plain(const Tensor& t, std::string_view what) {
  FATHOM_REQUIRE(!is_quantised(t.dtype), t.name, ": ", name_of(t.dtype), " data cannot be ", what,
                 "; expected a float type");
}

void advance(Tensor& t, size_t elements) {
  const size_t bytes = elements * dtype_info(t.dtype).block_bytes;
  FATHOM_ASSERT(bytes <= t.bytes.size());
  t.bytes = t.bytes.subspan(bytes);
}

void transpose(Tensor& t) {
  require_plain(t, "transposed");
  std::swap(t.shape[0], t.shape[1]);
  std::swap(t.strides[0], t.strides[1]);
}

// Index `i` of the leading dimension.
Tensor slice(const Tensor& stored, size_t i, size_t expected) {
  Tensor t = stored;
  FATHOM_REQUIRE(t.shape.size() >= 2 && t.shape[0] == expected, t.name, ": expected ", expected,
                 " fused parts, got shape of ", t.shape.size(), " dimensions with first ",
                 t.shape.empty() ? 0 : t.shape[0]);
  if (t.strides.empty()) {
    const size_t bytes = t.bytes.size() / expected;
    t.bytes = t.bytes.subspan(i * bytes, bytes);
  } else {
    advance(t, i * t.strides[0]);
    t.strides.erase(t.strides.begin());
  }
  t.shape.erase(t.shape.begin());
  return t;
}

Tensor row_range(const Tensor& matrix, size_t begin, size_t count) {
  Tensor t = matrix;
  require_plain(t, "regrouped");
  advance(t, begin * t.strides[0]);
  t.shape[0] = count;
  return t;
}

Tensor col_range(const Tensor& matrix, size_t begin, size_t count) {
  Tensor t = matrix;
  require_plain(t, "regrouped");
  advance(t, begin * t.strides[1]);
  t.shape[1] = count;
  return t;
}

// Contiguous views lose their strides again, so that read_f32 takes its fast path.
Tensor tidy(Tensor t) {
  if (t.strides.size() == 2 && t.strides[1] == 1 && t.strides[0] == t.shape[1]) t.strides.clear();
  if (t.strides.size() == 2 && t.shape[0] == 1 && t.strides[1] == 1) t.strides.clear();
  return t;
}

SourceWeight take_view(const Tensor& stored, const Spelling& how, Version version,
                       bool loras_out_in) {
  constexpr size_t kGroups = 5;
  SourceWeight weight;
  const size_t fused = version == Version::kV7 ? 6 : kGroups;
  switch (how.view) {
    case View::kSame:
      weight.parts = {as_matrix(stored)};
      break;
    case View::kSlice:
      weight.parts = {as_matrix(slice(stored, how.index, fused))};
      break;
    case View::kLoraGroup:
    case View::kLinear:
    case View::kLora: {
      // as_matrix() would squeeze a LoRA of rank 1: keep the last two dimensions as they are.
      Tensor t = how.view == View::kLoraGroup ? slice(stored, how.index, kGroups) : stored;
      if (t.strides.empty()) {
        t.strides.assign(t.shape.size(), 1);
        for (size_t i = t.shape.size(); i-- > 1;) t.strides[i - 1] = t.strides[i] * t.shape[i];
      }
      FATHOM_REQUIRE(t.shape.size() == 2, t.name, ": expected a matrix, got ", t.shape.size(),
                     " dimensions");
      if (!loras_out_in && how.view != View::kLinear) transpose(t);
      weight.parts = {t};
      break;
    }
    case View::kFlaRows: {
      const Tensor t = as_matrix(stored);
      FATHOM_REQUIRE(t.shape[0] % kGroups == 0, t.name, ": expected a multiple of 5 rows, got ",
                     t.shape[0]);
      const size_t rank = t.shape[0] / kGroups;
      for (size_t group : {1, 2, 3, 0, 4}) weight.parts.push_back(row_range(t, group * rank, rank));
      break;
    }
    case View::kFlaCols: {
      const Tensor t = as_matrix(stored);
      FATHOM_REQUIRE(t.shape[1] % kGroups == 0, t.name, ": expected a multiple of 5 columns, got ",
                     t.shape[1]);
      const size_t rank = t.shape[1] / kGroups;
      weight.parts = {col_range(t, how.index * rank, rank)};
      break;
    }
  }
  for (Tensor& t : weight.parts) {
    // time_faaaa (H, N), time_decay (H, N, 1), ... are read as vectors; matrices have 2 dimensions.
    FATHOM_REQUIRE(t.shape.size() == 2 || t.strides.empty() || stored.strides.empty(), t.name,
                   ": a strided tensor of ", stored.shape.size(), " dimensions is not understood");
    if (t.shape.size() > 2) {
      t.shape = {t.rows(), t.cols()};
      t.strides.clear();
    }
    t = tidy(std::move(t));
  }
  return weight;
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

// A row of n zeros, which are one.
Tensor zeros(std::string name, size_t n) {
  static constexpr float kZero = 0;
  return {.name = std::move(name),
          .dtype = StoredType::kF32,
          .shape = {1, n},
          .strides = {0, 0},
          .bytes = std::as_bytes(std::span(&kZero, 1))};
}

// The scales of those rows of a stored matrix of bytes that a view shows: one scale a row.
Tensor scales_of_view(const Tensor& stored, const Tensor& part, View view, const Tensor& scales) {
  const bool whole = part.shape == stored.shape;
  const bool rows_in_turn = stored.strides.empty() || stored.strides[1] == 1;
  const bool grouped = view == View::kFlaRows || view == View::kFlaCols;
  FATHOM_REQUIRE(rows_in_turn && stored.cols() > 0 && (whole || grouped), stored.name, ": ",
                 type_name(stored), " with a scale for each row cannot be transposed or regrouped");
  const size_t row_bytes = stored.strides.empty() ? stored.cols() : stored.strides[0];
  const size_t begin = static_cast<size_t>(part.bytes.data() - stored.bytes.data()) / row_bytes;
  Tensor t = as_matrix(scales);  // (1, n_row)
  const size_t stride = t.strides[1];
  FATHOM_REQUIRE(begin + part.shape[0] <= t.shape[1], stored.name, ": more rows than scales");
  advance(t, begin * stride);
  t.shape = {part.shape[0]};
  t.strides = stride == 1 ? std::vector<size_t>() : std::vector<size_t>{stride};
  return t;
}

}  // namespace

std::string_view name_of(Version version) {
  switch (version) {
    case Version::kV4:
      return "4";
    case Version::kV5_0:
      return "5.0";
    case Version::kV5_1:
      return "5.1";
    case Version::kV5_2:
      return "5.2";
    case Version::kV6:
      return "6";
    case Version::kV7:
      return "7";
  }
  FATHOM_ASSERT(!"unknown Version");
}

std::string_view name_of(const Config& config) {
  return config.deep_embed ? "7a" : name_of(config.version);
}

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

size_t SourceWeight::rows() const {
  size_t n = 0;
  for (const Tensor& t : parts) n += t.shape[0];  // not t.rows(): a (24, 0) matrix has 24
  return n;
}
size_t SourceWeight::cols() const { return parts.empty() ? 0 : parts.front().cols(); }

void read_rows(const SourceWeight& source, size_t begin, size_t end, float* out) {
  float* const first = out;
  size_t row = 0;
  for (size_t i = 0; i < source.parts.size(); ++i) {
    const Tensor& t = source.parts[i];
    const size_t b = std::max(begin, row), e = std::min(end, row + t.rows());
    if (b < e) {
      const size_t n = (e - b) * t.cols();
      read_f32(t, (b - row) * t.cols(), (e - row) * t.cols(), {out, n});
      if (!source.row_scales.empty())
        multiply_rows(source.row_scales[i], source.scale_divisor, b - row, e - b, t.cols(), out);
      out += n;
    }
    row += t.rows();
  }
  if (source.scale != 1)
    for (float* x = first; x != out; ++x) *x *= source.scale;
  for (const LowRankUpdate& update : source.updates) add_rows(update, begin, end - begin, first);
}

void look_up(const SourceWeight& source, std::span<const uint32_t> tokens, Matrix<float> out,
             ThreadPool& pool) {
  FATHOM_ASSERT(out.rows() == tokens.size() && out.cols() == source.cols());
  constexpr size_t kTask = 64;
  pool.run((tokens.size() + kTask - 1) / kTask, [&](size_t task) {
    const size_t end = std::min(tokens.size(), (task + 1) * kTask);
    for (size_t t = task * kTask; t < end; ++t)
      read_rows(source, tokens[t], tokens[t] + 1, out.row(t).data());
  });
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
    if (const auto block = block_of(name)) n_layer_ = std::max(n_layer_, *block + 1);
  }
  const auto adapter = std::ranges::find_if(
      all_, [](const Tensor* t) { return t->name.find(".lora_") != std::string::npos; });
  FATHOM_REQUIRE(adapter == all_.end() || has("emb.weight"),
                 "this is an adapter without its model (", (*adapter)->name,
                 "): expected the model it was made for, with --adapter and this");
  FATHOM_REQUIRE(n_layer_ > 0 && n_layer_ <= all_.size(),
                 "no RWKV model: expected tensors of blocks 0, 1, ..., got ", all_.size(),
                 " tensors", all_.empty() ? "" : ", the first called '",
                 all_.empty() ? "" : all_.front()->name, all_.empty() ? "" : "'");
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
      return block_of(entry.first) &&
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
  SourceWeight weight = take_view(*hit->tensor, hit->spelling, version_, loras_out_in_);
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
  const auto block = block_of(name);
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
  return SourceWeight{{zeros(std::string(canonical), weight->n_element())}};
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
