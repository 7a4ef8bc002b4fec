// SPDX-License-Identifier: Apache-2.0
// GGUF for llama.cpp: docs/layouts.md, "GGUF".
#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "model/export_weights.h"
#include "model/inspect.h"

namespace fathom {
namespace {

constexpr float kLlamaEps = 64e-5f;  // of the group norm, fixed in llama.cpp's graphs

// Width, all zeros, of a channel mix that has none: ggml has no matrices without rows.
constexpr size_t kEmptyFfn = 32;

// Canonical names to llama.cpp's. Fused tensors stand at their first part.
const std::map<std::string_view, std::string_view> kModelNames = {
    {"emb.weight", "token_embd.weight"},  {"ln0.weight", "token_embd_norm.weight"},
    {"ln0.bias", "token_embd_norm.bias"}, {"ln_out.weight", "output_norm.weight"},
    {"ln_out.bias", "output_norm.bias"},  {"head.weight", "output.weight"},
};
const std::map<std::string_view, std::string_view> kBlockNames = {
    {"ln1.weight", "attn_norm.weight"},
    {"ln1.bias", "attn_norm.bias"},
    {"ln2.weight", "attn_norm_2.weight"},
    {"ln2.bias", "attn_norm_2.bias"},
    {"att.receptance.weight", "time_mix_receptance.weight"},
    {"att.key.weight", "time_mix_key.weight"},
    {"att.value.weight", "time_mix_value.weight"},
    {"att.gate.weight", "time_mix_gate.weight"},
    {"att.output.weight", "time_mix_output.weight"},
    {"att.ln_x.weight", "time_mix_ln.weight"},
    {"att.ln_x.bias", "time_mix_ln.bias"},
    {"att.time_maa_x", "time_mix_lerp_x.weight"},
    {"att.time_maa_w", "time_mix_lerp_fused.weight"},
    {"att.time_maa_w1", "time_mix_w1.weight"},
    {"att.time_maa_w2", "time_mix_w2.weight"},
    {"att.time_decay", "time_mix_decay.weight"},
    {"att.time_decay_w1", "time_mix_decay_w1.weight"},
    {"att.time_decay_w2", "time_mix_decay_w2.weight"},
    {"att.time_faaaa", "time_mix_first.weight"},
    {"att.x_r", "time_mix_lerp_fused.weight"},
    {"att.w0", "time_mix_w0.weight"},
    {"att.w1", "time_mix_w1.weight"},
    {"att.w2", "time_mix_w2.weight"},
    {"att.a0", "time_mix_a0.weight"},
    {"att.a1", "time_mix_a1.weight"},
    {"att.a2", "time_mix_a2.weight"},
    {"att.v0", "time_mix_v0.weight"},
    {"att.v1", "time_mix_v1.weight"},
    {"att.v2", "time_mix_v2.weight"},
    {"att.g1", "time_mix_g1.weight"},
    {"att.g2", "time_mix_g2.weight"},
    {"att.k_k", "time_mix_k_k.weight"},
    {"att.k_a", "time_mix_k_a.weight"},
    {"att.r_k", "time_mix_r_k.weight"},
    {"ffn.time_maa_k", "channel_mix_lerp_k.weight"},
    {"ffn.time_maa_r", "channel_mix_lerp_r.weight"},
    {"ffn.x_k", "channel_mix_lerp_k.weight"},
    {"ffn.key.weight", "channel_mix_key.weight"},
    {"ffn.value.weight", "channel_mix_value.weight"},
    {"ffn.receptance.weight", "channel_mix_receptance.weight"},
};

// Other parts of fused tensors, written with the first.
bool is_later_part(std::string_view name) {
  return (name.starts_with("att.time_maa_") && !kBlockNames.contains(name)) ||
         (name.starts_with("att.x_") && name != "att.x_r");
}

class GgufLister final : public WeightLister {
 public:
  // value_scale: what att.value is multiplied by, see fold_epsilon().
  GgufLister(ExportSource& source, DType dtype, float value_scale)
      : WeightLister(source, dtype), value_scale_(value_scale) {}

 private:
  std::string name_of(const std::string& canonical) const override {
    return block_ ? concat("blk.", *block_, ".", kBlockNames.at(canonical))
                  : std::string(kModelNames.at(canonical));
  }
  // Block 0 of v7 has no v_lora, but llama.cpp asks for one: it gets a copy of the a_lora, as from
  // llama.cpp's converter.
  std::vector<std::string> names_for(const std::string& canonical) const {
    std::vector<std::string> names = {name_of(canonical)};
    const bool copied = block_ == 0 && c_.version == Version::kV7 && canonical.size() == 6 &&
                        canonical.starts_with("att.a");
    if (copied) names.push_back(name_of(std::string("att.v") + canonical.back()));
    return names;
  }

  void vector(const std::string& name, size_t size) override {
    if (is_later_part(name)) return;
    if (name == "att.time_maa_w")
      fused(name, {"att.time_maa_w", "att.time_maa_k", "att.time_maa_v", "att.time_maa_r",
                   "att.time_maa_g"});
    else if (name == "att.x_r")
      fused(name, {"att.x_r", "att.x_w", "att.x_k", "att.x_v", "att.x_a", "att.x_g"});
    else
      single(name, size);
  }

  void single(const std::string& name, size_t size) {
    SmallWeight weight = export_vector(source_, name, block_);
    if (name == "att.r_k" && value_scale_ != 1)  // the bonus multiplies the value, too
      weight.change = [s = value_scale_](std::vector<float>& values) {
        for (float& x : values) x /= s;
      };
    const std::vector<size_t> shape = name == "att.time_faaaa"
                                          ? std::vector<size_t>{c_.n_head(), c_.head_size}
                                          : std::vector<size_t>{size};
    for (const std::string& as : names_for(name))
      out_.push_back(write_small(as, shape, DType::kF32, {weight}));
  }

  // (n, 1, 1, C)
  void fused(const std::string& name, const std::vector<std::string_view>& parts) {
    std::vector<SmallWeight> weights;
    for (std::string_view part : parts) weights.push_back(export_vector(source_, part, block_));
    out_.push_back(write_small(name_of(name), {parts.size(), 1, 1, c_.d_model}, DType::kF32,
                               std::move(weights)));
  }

  void matrix(const std::string& name) override {
    if (name == "att.time_maa_w2.w") return mix_lora_up(DType::kF32, true);  // the first of five
    if (is_later_part(name)) return;
    if (c_.d_ffn == 0 && (name == "ffn.key.weight" || name == "ffn.value.weight")) {
      const bool key = name == "ffn.key.weight";
      zeros(name, key ? kEmptyFfn : c_.d_model, key ? c_.d_model : kEmptyFfn);
      return;
    }
    SourceWeight weight = export_matrix(source_, name, block_);
    if (name == "att.value.weight") weight.scale *= value_scale_;
    const DType dtype = is_low_rank(name) ? DType::kF32 : stored_as(weight.cols());
    for (const std::string& as : names_for(name)) out_.push_back(write_matrix(as, dtype, weight));
  }

  // llama.cpp asks for a head, though embeddings never use it; zeros cannot be taken for it.
  void no_head() override { zeros("head.weight", c_.n_vocab, c_.d_model); }

  DType stored_as(size_t cols) const {
    return cols % dtype_info(dtype_).block_elements == 0 ? dtype_ : DType::kF16;
  }

  void zeros(const std::string& name, size_t rows, size_t cols) {
    TensorToWrite t{
        .name = name_of(name), .dtype = stored_as(cols), .shape = {rows, cols}, .write = nullptr};
    t.write = [as = t.name, dtype = t.dtype, rows, cols](std::ostream& out) {
      const std::vector<float> row(cols, 0);
      for (size_t r = 0; r < rows && out; ++r) write_as(out, as, dtype, row);
    };
    out_.push_back(std::move(t));
  }

  float value_scale_;
};

// Group norm with another epsilon than llama.cpp's: y / sqrt(var(y) + eps) does not change if y is
// multiplied by s and eps by s^2. y is linear in the value vectors (as are the state, v_first and
// v7's bonus, which is added after the norm and so divided by s again through r_k).
float fold_epsilon(const Config& c) {
  if (c.ln_x_eps == kLlamaEps) return 1;
  return static_cast<float>(std::sqrt(double{kLlamaEps} / double{c.ln_x_eps}));
}

uint32_t file_type(DType dtype) {  // llama.cpp's LLAMA_FTYPE_*
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    default:
      FATHOM_ASSERT(!"a dtype that is not exported");
  }
}

std::string architecture_of(const Config& c) {
  return c.version == Version::kV7 ? "rwkv7" : "rwkv6";
}

GgufMetadata metadata_of(const Config& c, DType dtype, const std::string& name, uint32_t pooling) {
  const std::string arch = architecture_of(c);
  GgufMetadata m = {{"general.architecture", arch},
                    {"general.type", std::string("model")},
                    {"general.name", name}};
  const auto number = [&](const char* key, size_t value) {
    m.emplace_back(arch + key, static_cast<uint32_t>(value));
  };
  number(".context_length", 1048576);  // there is none
  number(".embedding_length", c.d_model);
  number(".block_count", c.n_layer);
  number(".feed_forward_length", c.d_ffn ? c.d_ffn : kEmptyFfn);
  number(".attention.head_count", 0);  // asked for, unused
  m.emplace_back(arch + ".attention.layer_norm_epsilon", c.ln_eps);
  number(".wkv.head_size", c.head_size);
  if (c.version == Version::kV7) {
    number(".attention.decay_lora_rank", c.rank.decay);
    number(".attention.iclr_lora_rank", c.rank.iclr);
    number(".attention.value_residual_mix_lora_rank", c.rank.value);
    number(".attention.gate_lora_rank", c.rank.gate);
  } else {
    number(".rescale_every_n_layers", 0);  // none is folded into the weights
    number(".time_mix_extra_dim", c.rank.mix);
    number(".time_decay_extra_dim", c.rank.decay);
  }
  number(".pooling_type", pooling);
  m.emplace_back("general.file_type", file_type(dtype));
  if (is_quantised(dtype)) m.emplace_back("general.quantization_version", uint32_t{2});
  return m;
}

void require_expressible(const ExportSource& source) {
  const Config& c = source.config;
  if (c.version < Version::kV6)
    throw UsageError(concat("llama.cpp has no RWKV-", name_of(c.version),
                            ": GGUF holds RWKV-6 and RWKV-7; write .safetensors instead"));
  FATHOM_REQUIRE(
      c.has_ln0,
      "GGUF: ln0 is fused into the embedding, and llama.cpp has a layer norm "
      "(token_embd_norm) behind every table, which sets the mean and the size of each row: "
      "no weights make it the identity; write .safetensors, or convert the model that "
      "has ln0");
  FATHOM_REQUIRE(!c.deep_embed,
                 "GGUF: llama.cpp has no RWKV-7a (DeepEmbed, ffn.s_emb): its tables would be lost; "
                 "write .safetensors instead");
  FATHOM_REQUIRE(c.d_att == c.d_model, "GGUF: llama.cpp expects d_att = d_model (", c.d_model,
                 "), got ", c.d_att);
  FATHOM_REQUIRE(!source.names.has("att.time_state", 0),
                 "att.time_state: GGUF has no place for an initial state; write .safetensors");
}

}  // namespace

GgufExport export_gguf(ExportSource& source, DType dtype, const std::string& name,
                       uint32_t pooling) {
  require_expressible(source);
  const Config& c = source.config;
  const float scale = fold_epsilon(c);
  GgufExport e;
  e.architecture = architecture_of(c);
  e.metadata = metadata_of(c, dtype, name, pooling);
  e.tensors = GgufLister(source, dtype, scale).list();
  if (scale != 1)
    e.notes.push_back(concat("llama.cpp's group norm has epsilon ", kLlamaEps, ", this model's is ",
                             c.ln_x_eps, ": made up for by ", scale,
                             " times att.value; the WKV state is that much larger"));
  if (c.d_ffn == 0)
    e.notes.push_back(concat("d_ffn is 0: written as ", kEmptyFfn, " zeros, which give the same"));
  if (c.version == Version::kV7 && c.head_size % 64 != 0)
    e.notes.push_back(
        concat("llama.cpp with AVX-512 computes RWKV-7 wrongly unless head_size is a ",
               "multiple of 64; this is ", c.head_size));
  if (!c.has_head) e.notes.push_back("llama.cpp asks for an output head and gets zeros");
  return e;
}

}  // namespace fathom
