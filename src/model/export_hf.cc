// SPDX-License-Identifier: Apache-2.0
// Hugging Face's layouts: docs/layouts.md, "Hugging Face RWKV-4, 5 and 6", "fla RWKV-7".
#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "model/export_weights.h"

namespace fathom {
namespace {

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  if (const size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

// ---- names and shapes

// Where the layout keeps a weight: its canonical name (names.h) turned into the layout's.
enum class Naming : uint8_t { kRwkv, kFla, kBlinkDl, kNative };

// transformers' RwkvForCausalLM and the classes of the hub that followed it.
std::string rwkv_name(Version version, std::string name, std::optional<size_t> block) {
  if (name == "head.weight") return name;
  if (!block)
    return "rwkv." + replaced(replaced(name, "emb.", "embeddings."), "ln0.", "blocks.0.pre_ln.");
  if (version < Version::kV6)
    for (const auto& [letter, word] :
         {std::pair{"_k", "_key"}, {"_v", "_value"}, {"_r", "_receptance"}, {"_g", "_gate"}})
      if (name.ends_with(std::string("time_mix") + letter)) name.replace(name.size() - 2, 2, word);
  name = replaced(replaced(std::move(name), "att.", "attention."), "ffn.", "feed_forward.");
  return concat("rwkv.blocks.", *block, ".", name);
}

std::string fla_name(std::string name, std::optional<size_t> block) {
  static const std::map<std::string, std::string> kNames = {
      {"emb.weight", "model.embeddings.weight"},
      {"head.weight", "lm_head.weight"},
      {"ln0.weight", "model.layers.0.pre_norm.weight"},
      {"ln0.bias", "model.layers.0.pre_norm.bias"},
      {"ln_out.weight", "model.norm.weight"},
      {"ln_out.bias", "model.norm.bias"},
      {"ln1.weight", "attn_norm.weight"},
      {"ln1.bias", "attn_norm.bias"},
      {"ln2.weight", "ffn_norm.weight"},
      {"ln2.bias", "ffn_norm.bias"},
      {"att.receptance.weight", "attn.r_proj.weight"},
      {"att.key.weight", "attn.k_proj.weight"},
      {"att.value.weight", "attn.v_proj.weight"},
      {"att.output.weight", "attn.o_proj.weight"},
      {"att.ln_x.weight", "attn.g_norm.weight"},
      {"att.ln_x.bias", "attn.g_norm.bias"}};
  if (const auto at = kNames.find(name); at != kNames.end())
    name = at->second;
  else if (name.size() == 6 && name[5] >= '0' && name[5] <= '2')  // att.w0, att.w1, att.w2, ...
    name = concat("attn.", name[4], "_lora.lora.",
                  name[5] == '0'   ? "2.bias"
                  : name[5] == '1' ? "0.weight"
                                   : "2.weight");
  else
    name = replaced(std::move(name), "att.", "attn.");
  return block ? concat("model.layers.", *block, ".", name) : name;
}

std::string blinkdl_name(const std::string& name, std::optional<size_t> block) {
  if (block) return concat("blocks.", *block, ".", name);
  return name.starts_with("ln0.") ? "blocks.0." + name : name;
}

// transformers' own RWKV-7.
std::string native_name(const std::string& name, std::optional<size_t> block) {
  return name == "head.weight" ? name : "rwkv7." + blinkdl_name(name, block);
}

// Vectors that BlinkDL's modules keep as (1, 1, n), and per-head tables.
std::vector<size_t> vector_shape(const Config& c, Naming naming, std::string_view name,
                                 size_t size) {
  std::vector<size_t> heads = {c.n_head(), c.head_size};
  if (name == "att.time_faaaa" || name == "att.r_k")
    return size == c.d_att ? heads : std::vector<size_t>{size};
  if (name == "att.time_decay" && is_v5(c.version) && size == c.d_att) return heads;
  const bool is_mix = name.find(".time_mix_") != name.npos ||
                      name.find(".time_maa_") != name.npos || name.starts_with("att.x_");
  const bool is_v6_decay = name == "att.time_decay" && c.version == Version::kV6;
  const bool blinkdl_names = naming == Naming::kBlinkDl || naming == Naming::kNative;
  const bool is_blinkdl_v7 = blinkdl_names && name != "att.ln_x.weight" &&
                             name != "att.ln_x.bias" && !name.starts_with("ln");
  if (is_mix || is_v6_decay || is_blinkdl_v7) return {1, 1, size};
  return {size};
}

// ---- tensors

class TensorLister final : public WeightLister {
 public:
  TensorLister(ExportSource& source, Naming naming, StoredType dtype)
      : WeightLister(source, dtype), naming_(naming) {}

 private:
  std::string name_of(const std::string& canonical) const override {
    switch (naming_) {
      case Naming::kRwkv:
        return rwkv_name(c_.version, canonical, block_);
      case Naming::kFla:
        return fla_name(canonical, block_);
      case Naming::kBlinkDl:
        return blinkdl_name(canonical, block_);
      case Naming::kNative:
        return native_name(canonical, block_);
    }
    FATHOM_ASSERT(!"unknown Naming");
  }

  void rest_of_block() override {
    if (c_.deep_embed) matrix("ffn.s_emb.weight");
    if (c_.has_heads() && source_.names.has("att.time_state", block_))
      out_.push_back(write_small(name_of("att.time_state"),
                                 {c_.n_head(), c_.head_size, c_.head_size}, StoredType::kF32,
                                 {export_state(source_, *block_)}));
  }

  void vector(const std::string& name, size_t size) override {
    SmallWeight weight = export_vector(source_, name, block_);
    // The class of the hub knows 5.2 alone, of which 5.1 is the case of equal channels in a head.
    if (c_.version == Version::kV5_1 && (name == "att.time_decay" || name == "att.time_faaaa")) {
      weight = spread(std::move(weight));
      size = c_.d_att;
    }
    out_.push_back(write_small(name_of(name), vector_shape(c_, naming_, name, size),
                               StoredType::kF32, {std::move(weight)}));
  }

  SmallWeight spread(SmallWeight weight) const {
    return {std::move(weight.source),
            [n = c_.head_size, change = std::move(weight.change)](std::vector<float>& values) {
              if (change) change(values);
              std::vector<float> wide;
              for (float v : values) wide.insert(wide.end(), n, v);
              values = std::move(wide);
            }};
  }

  void matrix(const std::string& name) override {
    if (name.starts_with("att.time_maa_w2.")) {
      if (name.ends_with(".w")) mix_lora_up(dtype_, false);  // the first of five
      return;
    }
    SourceWeight weight = export_matrix(source_, name, block_);
    const bool lora = name == "att.time_maa_w1" || name.starts_with("att.time_decay_w") ||
                      (name.size() == 6 && name.starts_with("att.")) || name == "ffn.s1" ||
                      name == "ffn.s2";
    if (!lora || naming_ == Naming::kFla) {
      // A table of ln0's outputs may be kept finer than the matrices: layer 0 is its rows.
      const bool fused_table = name == "emb.weight" && !c_.has_ln0;
      const bool keep_f32 = fused_table && weight.parts.front().dtype == StoredType::kF32;
      out_.push_back(
          write_matrix(name_of(name), keep_f32 ? StoredType::kF32 : dtype_, std::move(weight)));
      return;
    }
    std::vector<size_t> shape = {weight.cols(), weight.rows()};
    out_.push_back(
        write_small(name_of(name), std::move(shape), dtype_, {transposed(std::move(weight))}));
  }

  Naming naming_;
};

// ---- config.json

const char* torch_dtype(StoredType dtype) {
  return dtype == StoredType::kF16    ? "float16"
         : dtype == StoredType::kBF16 ? "bfloat16"
                                      : "float32";
}

OrderedJson common_config(const Config& c, StoredType dtype, const char* architecture,
                          const char* model_type) {
  OrderedJson j;
  j["architectures"] = {architecture};
  j["model_type"] = model_type;
  j["vocab_size"] = c.n_vocab;
  j["hidden_size"] = c.d_model;
  j["num_hidden_layers"] = c.n_layer;
  j["torch_dtype"] = torch_dtype(dtype);
  j["bos_token_id"] = 0;
  j["eos_token_id"] = 0;
  j["tie_word_embeddings"] = false;
  j["use_cache"] = true;
  return j;
}

// The group norm's epsilon in these classes is 1e-5 head_size_divisor^2.
OrderedJson head_size_divisor(const Config& c) {
  const double divisor = std::sqrt(double{c.ln_x_eps} / 1e-5), whole = std::round(divisor);
  if (static_cast<float>(1e-5 * whole * whole) == c.ln_x_eps) return static_cast<int>(whole);
  FATHOM_REQUIRE(divisor >= 1, "ln_x eps ", c.ln_x_eps,
                 " has no place in config.json: expected at least 1e-5");
  return divisor;
}

OrderedJson rwkv_config(const Config& c, StoredType dtype, std::vector<std::string>& notes) {
  const bool v4 = c.version == Version::kV4, v6 = c.version == Version::kV6;
  const std::string number = v4 ? "" : v6 ? "6" : "5";
  const std::string type = "rwkv" + number, prefix = "Rwkv" + number;
  OrderedJson j = common_config(c, dtype, (prefix + "ForCausalLM").c_str(), type.c_str());
  if (!v4)
    j["auto_map"] = {{"AutoConfig", "configuration_" + type + "." + prefix + "Config"},
                     {"AutoModelForCausalLM", "modeling_" + type + "." + prefix + "ForCausalLM"}};
  j["attention_hidden_size"] = c.d_att;
  // null is the classes' own rule; some of them do not look at a number.
  const size_t usual = v4 ? 4 * c.d_model : c.d_model * 7 / 2 / 32 * 32;
  j["intermediate_size"] = !v4 && c.d_ffn == usual ? OrderedJson(nullptr) : OrderedJson(c.d_ffn);
  j["layer_norm_epsilon"] = shortest(c.ln_eps);
  j["rescale_every"] = 6;
  if (v4) {
    j["context_length"] = 1024;
    return j;
  }
  j["num_attention_heads"] = c.n_head();
  j["head_size"] = c.head_size;
  j["head_size_divisor"] = head_size_divisor(c);
  if (j["head_size_divisor"] != 8)
    notes.push_back(concat("the group norm's epsilon ", c.ln_x_eps,
                           " is kept as head_size_divisor ", j["head_size_divisor"].get<double>(),
                           " in config.json; usual is 8"));
  if (c.version == Version::kV5_1)
    notes.push_back("RWKV-5.1 is written as 5.2: one decay a head becomes equal ones a channel");
  if (c.version == Version::kV5_0)
    notes.push_back("no Hugging Face class computes RWKV-5.0 (it has no gate); Fathom does");
  if (!v4 && c.d_ffn != usual)
    notes.push_back(concat("the Hugging Face class assumes intermediate_size ", usual,
                           "; this model has ", c.d_ffn));
  return j;
}

OrderedJson fla_config(const Config& c, StoredType dtype) {
  OrderedJson j = common_config(c, dtype, "RWKV7ForCausalLM", "rwkv7");
  j["attn"] = nullptr;
  j["attn_mode"] = "chunk";
  j["hidden_act"] = "sqrelu";
  j["hidden_ratio"] = static_cast<double>(c.d_ffn) / static_cast<double>(c.d_model);
  j["intermediate_size"] = c.d_ffn;
  j["head_dim"] = c.head_size;
  j["num_heads"] = c.n_head();
  j["decay_low_rank_dim"] = c.rank.decay;
  j["a_low_rank_dim"] = c.rank.iclr;
  j["v_low_rank_dim"] = c.rank.value;
  j["gate_low_rank_dim"] = c.rank.gate;
  j["value_dim"] = std::vector<size_t>(c.n_layer, c.d_model);
  j["norm_first"] = c.has_ln0;  // false: no norm in front of block 0's own
  j["norm_bias"] = true;
  j["norm_eps"] = shortest(c.ln_eps);
  j["fuse_norm"] = false;
  j["fuse_cross_entropy"] = true;
  j["initializer_range"] = 0.02;
  j["max_position_embeddings"] = 2048;
  return j;
}

OrderedJson rwkv_block_config(const Config& c, StoredType dtype) {
  OrderedJson j = common_config(c, dtype, "RWKV7ForCausalLM", "rwkv7");
  j["head_size"] = c.head_size;
  j["hidden_size_att"] = c.d_att;
  j["hidden_size_ffn"] = c.d_ffn;
  j["tmix_backend"] = "auto";
  j["layer_norm_epsilon"] = shortest(c.ln_eps);
  return j;
}

OrderedJson native_config(const Config& c, StoredType dtype) {
  OrderedJson j = common_config(c, dtype, "Rwkv7ForCausalLM", "rwkv7");
  j["intermediate_size"] = c.d_ffn;
  j["head_size"] = c.head_size;
  j["num_attention_heads"] = c.n_head();
  j["layer_norm_epsilon"] = shortest(c.ln_eps);
  j["group_norm_epsilon"] = shortest(c.ln_x_eps);
  j["embedding_layer_norm_fused"] = !c.has_ln0;
  j["decay_low_rank_dim"] = c.rank.decay;
  j["a_low_rank_dim"] = c.rank.iclr;
  j["v_low_rank_dim"] = c.rank.value;
  j["gate_low_rank_dim"] = c.rank.gate;
  j["rescale_every"] = 0;
  return j;
}

// A table that is ln0's output already fits no program that has an ln0 to pass through: a layer norm
// sets the mean and the size of every row, so that no weights make it the identity.
constexpr const char* kNoIdentity =
    "ln0 is fused into the embedding, and no ln0 leaves rows as they are";

HuggingFaceExport export_v7(ExportSource& source, StoredType dtype) {
  const Config& c = source.config;
  HuggingFaceExport e;
  const double fla_eps = static_cast<double>(c.head_size) * shortest(c.ln_eps);
  const bool same_eps = static_cast<float>(fla_eps) == c.ln_x_eps;
  if (same_eps && c.d_att == c.d_model && !c.deep_embed) {
    e.layout = "fla RWKV-7";
    e.config = fla_config(c, dtype);
    if (!c.has_ln0)
      e.notes.push_back(concat(kNoIdentity,
                               ": written without one (norm_first false), which fla's ",
                               "own classes read; rwkv7-hf 0.9 does not know it"));
    e.tensors = TensorLister(source, Naming::kFla, dtype).list();
    return e;
  }
  if (!c.has_ln0) {
    FATHOM_REQUIRE(c.d_att == c.d_model, kNoIdentity, ": expected d_att = d_model (", c.d_model,
                   "), which the layouts without ln0 have, got ", c.d_att);
    e.layout = "native transformers RWKV-7";
    e.config = native_config(c, dtype);
    e.notes.push_back(concat(kNoIdentity, ": written for transformers' own class, with ",
                             "embedding_layer_norm_fused; fla would use ", fla_eps,
                             " for the group norm's epsilon, not ", c.ln_x_eps));
    e.tensors = TensorLister(source, Naming::kNative, dtype).list();
    return e;
  }
  FATHOM_REQUIRE(c.ln_x_eps == 64e-5f, "ln_x eps ", c.ln_x_eps,
                 " has no place in a Hugging Face layout: expected 64e-5, or ", fla_eps,
                 " (head_size * ln eps, with d_att = d_model)");
  e.layout = concat("RWKV-", name_of(c), " in BlinkDL's names");
  e.config = rwkv_block_config(c, dtype);
  if (c.deep_embed) {  // the classes of RWKV-7 would leave the tables out
    e.config.erase("architectures");
    e.config["model_type"] = "rwkv7a";
  }
  e.notes.push_back(
      c.deep_embed ? std::string("no Hugging Face class computes RWKV-7a (DeepEmbed): written "
                                 "in BlinkDL's names, for Fathom and BlinkDL's rwkv")
      : same_eps   ? concat("fla has no d_att (", c.d_att, ") other than d_model (", c.d_model,
                            "): written in BlinkDL's names")
                   : concat("fla would use ", fla_eps, " for the group norm's epsilon, not ",
                            c.ln_x_eps, ": written in BlinkDL's names"));
  e.tensors = TensorLister(source, Naming::kBlinkDl, dtype).list();
  return e;
}

}  // namespace

HuggingFaceExport export_hugging_face(ExportSource& source, StoredType dtype) {
  FATHOM_ASSERT(dtype == StoredType::kF32 || dtype == StoredType::kF16 ||
                dtype == StoredType::kBF16);
  const Config& c = source.config;
  if (c.version == Version::kV7) return export_v7(source, dtype);
  FATHOM_REQUIRE(c.has_ln0, kNoIdentity, ": Hugging Face's RWKV-", name_of(c.version),
                 " asks for one");
  HuggingFaceExport e;
  e.layout =
      concat("Hugging Face RWKV-", name_of(c.version), c.version == Version::kV6 ? " (Finch)" : "");
  e.config = rwkv_config(c, dtype, e.notes);
  e.tensors = TensorLister(source, Naming::kRwkv, dtype).list();
  return e;
}

}  // namespace fathom
