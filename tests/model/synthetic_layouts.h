// SPDX-License-Identifier: Apache-2.0
// A synthetic model as other programs store it (docs/layouts.md), and files of it. Numbers are
// moved, never changed, except where the format itself stores another number.
#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/build_files.h"
#include "formats/write_gguf.h"
#include "formats/write_safetensors.h"
#include "model/synthetic_model.h"

namespace fathom::test {

using Arrays = std::vector<Array>;

// ---- parts

inline std::string replaced(std::string s, const std::string& from, const std::string& to) {
  if (const size_t at = s.find(from); at != std::string::npos) s.replace(at, from.size(), to);
  return s;
}
inline Array renamed(Array a, std::string name) {
  a.name = std::move(name);
  return a;
}
inline Array reshaped(Array a, std::vector<size_t> shape) {
  a.shape = std::move(shape);
  return a;
}
// The last two dimensions swapped.
inline Array transposed(Array a) {
  const size_t rows = a.shape[a.shape.size() - 2], cols = a.shape.back();
  Array t = a;
  std::swap(t.shape[t.shape.size() - 2], t.shape.back());
  for (size_t g = 0; g < a.values.size(); g += rows * cols)
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < cols; ++c) t.values[g + c * rows + r] = a.values[g + r * cols + c];
  return t;
}
// Vectors laid end to end in the given order; shape is the result's.
inline Array joined(const SyntheticModel& m, size_t block, const std::vector<std::string>& names,
                    std::string as, std::vector<size_t> shape) {
  Array all{std::move(as), std::move(shape), {}};
  for (const std::string& name : names) {
    const std::vector<float>& v = m.get(block, name).values;
    all.values.insert(all.values.end(), v.begin(), v.end());
  }
  return all;
}
// "w1" of "blocks.3.att.w1"; the rest stands in *block.
inline std::string split_name(const std::string& name, std::string* block) {
  const size_t dot = name.find('.', std::string("blocks.").size());
  if (!name.starts_with("blocks.") || dot == std::string::npos) {
    block->clear();
    return name;
  }
  *block = name.substr(7, dot - 7);
  return name.substr(dot + 1);
}
inline bool is_lora_v7(const std::string& rest) {
  return rest.size() == 6 && rest.starts_with("att.") && (rest[5] == '1' || rest[5] == '2') &&
         std::string("wavg").find(rest[4]) != std::string::npos;
}
inline bool is_lora_v6(const std::string& rest) {
  return rest == "att.time_maa_w1" || rest == "att.time_maa_w2" || rest == "att.time_decay_w1" ||
         rest == "att.time_decay_w2";
}

// ---- layouts

// transformers' RwkvForCausalLM, and the Rwkv5ForCausalLM and Rwkv6ForCausalLM of the hub.
inline Arrays hugging_face(const SyntheticModel& m) {
  Arrays out;
  for (const Array& a : m.arrays) {
    std::string name =
        replaced(replaced(a.name, ".att.", ".attention."), ".ffn.", ".feed_forward.");
    name = replaced(replaced(name, ".ln0.", ".pre_ln."), "emb.weight", "embeddings.weight");
    if (m.shape.version < Version::kV6)
      for (const auto& [letter, word] : {std::pair<std::string, std::string>{"k", "key"},
                                         {"v", "value"},
                                         {"r", "receptance"},
                                         {"g", "gate"}})
        if (name.ends_with(".time_mix_" + letter)) name.replace(name.size() - 1, 1, word);
    out.push_back(renamed(a, a.name == "head.weight" ? name : "rwkv." + name));
  }
  return out;
}

// flash-linear-attention's RWKV7ForCausalLM. fused: its old files, with one attn.x_x.
inline Arrays fla_v7(const SyntheticModel& m, bool fused = false) {
  static const std::map<std::string, std::string> kNames = {
      {"ln1.weight", "attn_norm.weight"},
      {"ln1.bias", "attn_norm.bias"},
      {"ln2.weight", "ffn_norm.weight"},
      {"ln2.bias", "ffn_norm.bias"},
      {"ln0.weight", "pre_norm.weight"},
      {"ln0.bias", "pre_norm.bias"},
      {"att.receptance.weight", "attn.r_proj.weight"},
      {"att.key.weight", "attn.k_proj.weight"},
      {"att.value.weight", "attn.v_proj.weight"},
      {"att.output.weight", "attn.o_proj.weight"},
      {"att.ln_x.weight", "attn.g_norm.weight"},
      {"att.ln_x.bias", "attn.g_norm.bias"},
      {"emb.weight", "model.embeddings.weight"},
      {"head.weight", "lm_head.weight"},
      {"ln_out.weight", "model.norm.weight"},
      {"ln_out.bias", "model.norm.bias"}};
  Arrays out;
  for (const Array& a : m.arrays) {
    std::string block, rest = split_name(a.name, &block);
    const std::string prefix = block.empty() ? "" : "model.layers." + block + ".";
    const std::string attn = replaced(rest, "att.", "attn.");
    if (const auto at = kNames.find(rest); at != kNames.end()) {
      out.push_back(renamed(a, prefix + at->second));
    } else if (is_lora_v7(rest)) {
      const std::string layer = rest[5] == '1' ? "0" : "2";
      out.push_back(transposed(
          renamed(a, concat(prefix, "attn.", rest[4], "_lora.lora.", layer, ".weight"))));
    } else if (rest == "att.w0" || rest == "att.a0" || rest == "att.v0") {
      out.push_back(reshaped(renamed(a, concat(prefix, "attn.", rest[4], "_lora.lora.2.bias")),
                             {a.values.size()}));
    } else if (rest.starts_with("att.x_") && fused) {
      if (rest == "att.x_r")
        out.push_back(joined(m, std::stoul(block),
                             {"att.x_r", "att.x_w", "att.x_k", "att.x_v", "att.x_a", "att.x_g"},
                             prefix + "attn.x_x", {6, m.shape.d_model}));
    } else if (rest == "ffn.x_k" || rest == "att.k_k" || rest == "att.k_a") {
      out.push_back(reshaped(renamed(a, prefix + attn), {a.values.size()}));
    } else {
      out.push_back(renamed(a, prefix + attn));
    }
  }
  return out;
}

// transformers' own RWKV-7 (docs/layouts.md), in each of its spellings.
struct NativeSpelling {
  std::string prefix = "rwkv7.";  // of everything but the head; or "model.", or none
  bool embeddings = false;        // embeddings.weight instead of emb.weight
  bool linear_loras = false;      // att.w1.weight (R, C) instead of att.w1 (C, R)
  bool fused = false;             // no ln0: m's table has to hold its output
  bool tied = false;              // no head
};
inline Arrays native_v7(const SyntheticModel& m, const NativeSpelling& s = {}) {
  Arrays out;
  for (const Array& a : m.arrays) {
    std::string block;
    const std::string rest = split_name(a.name, &block);
    if (rest.starts_with("ln0.") && s.fused) continue;
    if (rest == "head.weight") {
      if (!s.tied) out.push_back(a);
      continue;
    }
    const bool turn = s.linear_loras && is_lora_v7(rest);
    Array b = turn ? transposed(a) : a;
    if (turn) b.name += ".weight";
    if (s.embeddings) b.name = replaced(b.name, "emb.weight", "embeddings.weight");
    b.name = s.prefix + b.name;
    out.push_back(std::move(b));
  }
  return out;
}
// Without the biases of its layer norms; ln_x keeps its own.
inline Arrays without_norm_bias(Arrays arrays) {
  std::erase_if(arrays, [](const Array& a) {
    for (const char* norm : {"ln0.bias", "ln1.bias", "ln2.bias", "ln_out.bias", "pre_norm.bias",
                             "attn_norm.bias", "ffn_norm.bias", "model.norm.bias"})
      if (a.name.ends_with(norm)) return true;
    return false;
  });
  return arrays;
}

// Groups of a v6 LoRA from BlinkDL's order w,k,v,r,g to fla's r,w,k,v,g.
inline constexpr size_t kFlaOrder[5] = {3, 0, 1, 2, 4};

// flash-linear-attention's RWKV6ForCausalLM.
inline Arrays fla_v6(const SyntheticModel& m) {
  static const std::map<std::string, std::string> kNames = {
      {"ln1.weight", "attn_norm.weight"},
      {"ln1.bias", "attn_norm.bias"},
      {"ln2.weight", "ffn_norm.weight"},
      {"ln2.bias", "ffn_norm.bias"},
      {"ln0.weight", "pre_norm.weight"},
      {"ln0.bias", "pre_norm.bias"},
      {"att.receptance.weight", "attn.r_proj.linear.weight"},
      {"att.key.weight", "attn.k_proj.linear.weight"},
      {"att.value.weight", "attn.v_proj.linear.weight"},
      {"att.gate.weight", "attn.g_proj.linear.weight"},
      {"att.output.weight", "attn.o_proj.weight"},
      {"att.ln_x.weight", "attn.g_norm.weight"},
      {"att.ln_x.bias", "attn.g_norm.bias"},
      {"att.time_faaaa", "attn.bonus"},
      {"ffn.key.weight", "ffn.key.linear.weight"},
      {"ffn.receptance.weight", "ffn.receptance.linear.weight"},
      {"ffn.value.weight", "ffn.value.weight"},
      {"emb.weight", "model.embeddings.weight"},
      {"head.weight", "lm_head.weight"},
      {"ln_out.weight", "model.norm.weight"},
      {"ln_out.bias", "model.norm.bias"}};
  static const std::map<std::string, std::string> kVectors = {
      {"att.time_maa_x", "attn.x_proj.0.mu"},
      {"att.time_decay", "attn.w_proj.linear.lora.2.bias"},
      {"ffn.time_maa_k", "ffn.key.mu"},
      {"ffn.time_maa_r", "ffn.receptance.mu"}};
  const size_t c = m.shape.d_model, rank = m.shape.rank.mix;
  Arrays out;
  for (const Array& a : m.arrays) {
    std::string block, rest = split_name(a.name, &block);
    const std::string prefix = block.empty() ? "" : "model.layers." + block + ".";
    if (const auto at = kNames.find(rest); at != kNames.end()) {
      out.push_back(renamed(a, prefix + at->second));
    } else if (const auto v = kVectors.find(rest); v != kVectors.end()) {
      out.push_back(reshaped(renamed(a, prefix + v->second), {a.values.size()}));
    } else if (rest == "att.time_decay_w1" || rest == "att.time_decay_w2") {
      const std::string layer = rest.back() == '1' ? "0" : "2";
      out.push_back(
          transposed(renamed(a, concat(prefix, "attn.w_proj.linear.lora.", layer, ".weight"))));
    } else if (rest == "att.time_maa_w1") {  // (C, 5R) -> (5R, C)
      Array t{prefix + "attn.x_proj.0.linear.weight", {5 * rank, c}, {}};
      for (size_t group : kFlaOrder)
        for (size_t r = 0; r < rank; ++r)
          for (size_t i = 0; i < c; ++i)
            t.values.push_back(a.values[i * 5 * rank + group * rank + r]);
      out.push_back(std::move(t));
    } else if (rest == "att.time_maa_w2") {  // (5, R, C) -> (C, 5R)
      Array t{prefix + "attn.x_proj.2.weight", {c, 5 * rank}, {}};
      for (size_t o = 0; o < c; ++o)
        for (size_t group : kFlaOrder)
          for (size_t r = 0; r < rank; ++r)
            t.values.push_back(a.values[(group * rank + r) * c + o]);
      out.push_back(std::move(t));
    } else if (rest == "att.time_maa_w") {
      out.push_back(joined(m, std::stoul(block),
                           {"att.time_maa_r", "att.time_maa_w", "att.time_maa_k", "att.time_maa_v",
                            "att.time_maa_g"},
                           prefix + "attn.x_bias", {5, c}));
    } else if (!rest.starts_with("att.time_maa_")) {
      throw Error("no fla name for " + a.name);
    }
  }
  return out;
}

// web-rwkv's .st: LoRAs (and an initial state) transposed, v6's maa called mix, faaaa called first.
inline Arrays web_rwkv(const SyntheticModel& m) {
  Arrays out;
  for (const Array& a : m.arrays) {
    std::string block;
    const std::string rest = split_name(a.name, &block);
    const bool turn = (m.shape.version == Version::kV7 && is_lora_v7(rest)) || is_lora_v6(rest) ||
                      rest == "att.time_state";
    Array b = turn ? transposed(a) : a;
    b.name = replaced(replaced(b.name, "time_maa", "time_mix"), "time_faaaa", "time_first");
    out.push_back(std::move(b));
  }
  return out;
}

// rwkv.cpp's converter.
inline Arrays rwkv_cpp(const SyntheticModel& m) {
  const Version version = m.shape.version;
  const bool v5 = version > Version::kV4 && version < Version::kV6;
  Arrays out;
  for (const Array& a : m.arrays) {
    std::string block, rest = split_name(a.name, &block);
    Array b = a;
    if (rest.find(".time_") != std::string::npos) {
      std::erase(b.shape, size_t{1});
      if (b.shape.empty()) b.shape = {1};
    }
    if (version == Version::kV6 && is_lora_v6(rest)) b = transposed(a);
    if (version == Version::kV7 && is_lora_v7(rest)) b = transposed(a);
    if (rest == "att.time_decay" && version == Version::kV4)
      for (float& x : b.values) x = -std::exp(x);
    if (rest == "att.time_decay" && v5)
      for (float& x : b.values) x = std::exp(-std::exp(x));
    if (rest == "att.time_first" && v5)
      for (float& x : b.values) x = std::exp(x);
    const bool of_heads =
        rest == "att.time_decay" || rest == "att.time_faaaa" || (v5 && rest == "att.time_first");
    if (of_heads && version != Version::kV4) {
      const size_t h = m.shape.n_head();
      b.shape = {h, b.values.size() / h, 1};
    }
    if (rest == "att.x_r")
      b = joined(m, std::stoul(block),
                 {"att.x_r", "att.x_w", "att.x_k", "att.x_v", "att.x_a", "att.x_g"},
                 "blocks." + block + ".att.x_rwkvag", {6, 1, m.shape.d_model});
    else if (rest.starts_with("att.x_"))
      continue;
    out.push_back(std::move(b));
  }
  return out;
}

// llama.cpp's names. Matrices of v6 that write to the residual stream are divided as
// rescale_every says (0: not).
inline Arrays gguf(const SyntheticModel& m, size_t rescale_every = 0) {
  static const std::map<std::string, std::string> kNames = {
      {"emb.weight", "token_embd.weight"},
      {"head.weight", "output.weight"},
      {"ln_out.weight", "output_norm.weight"},
      {"ln_out.bias", "output_norm.bias"},
      {"ln1.weight", "attn_norm.weight"},
      {"ln1.bias", "attn_norm.bias"},
      {"ln2.weight", "attn_norm_2.weight"},
      {"ln2.bias", "attn_norm_2.bias"},
      {"att.time_faaaa", "time_mix_first.weight"},
      {"att.time_maa_x", "time_mix_lerp_x.weight"},
      {"att.time_maa_w1", "time_mix_w1.weight"},
      {"att.time_maa_w2", "time_mix_w2.weight"},
      {"att.ln_x.weight", "time_mix_ln.weight"},
      {"att.ln_x.bias", "time_mix_ln.bias"},
      {"ffn.time_maa_k", "channel_mix_lerp_k.weight"},
      {"ffn.time_maa_r", "channel_mix_lerp_r.weight"},
      {"ffn.x_k", "channel_mix_lerp_k.weight"}};
  const bool v7 = m.shape.version == Version::kV7;
  const size_t c = m.shape.d_model;
  Arrays out;
  for (const Array& a : m.arrays) {
    std::string block, rest = split_name(a.name, &block);
    if (rest.starts_with("ln0.")) {
      out.push_back(renamed(a, "token_embd_norm." + rest.substr(4)));
      continue;
    }
    const std::string prefix = block.empty() ? "" : "blk." + block + ".";
    Array b = (v7 && is_lora_v7(rest)) || is_lora_v6(rest) ? transposed(a) : a;
    const bool is_vector = b.shape.size() == 3 && b.shape[0] == 1;
    if (is_vector || rest == "att.r_k") b.shape = {b.values.size()};
    if (const auto at = kNames.find(rest); at != kNames.end()) {
      b.name = prefix + at->second;
    } else if (rest == "att.x_r" || rest == "att.time_maa_w") {
      b = v7 ? joined(m, std::stoul(block),
                      {"att.x_r", "att.x_w", "att.x_k", "att.x_v", "att.x_a", "att.x_g"}, "",
                      {6, 1, 1, c})
             : joined(m, std::stoul(block),
                      {"att.time_maa_w", "att.time_maa_k", "att.time_maa_v", "att.time_maa_r",
                       "att.time_maa_g"},
                      "", {5, 1, 1, c});
      b.name = prefix + "time_mix_lerp_fused.weight";
    } else if (rest.starts_with("att.x_") || rest.starts_with("att.time_maa_")) {
      continue;
    } else if (rest.starts_with("ffn.")) {
      b.name = prefix + "channel_mix_" + rest.substr(4);
    } else {
      b.name = prefix + "time_mix_" + replaced(rest.substr(4), "time_", "");
      if (!b.name.ends_with(".weight")) b.name += ".weight";
    }
    if (rescale_every && (rest == "att.output.weight" || rest == "ffn.value.weight"))
      for (float& x : b.values)
        x = std::ldexp(x, -static_cast<int>(std::stoul(block) / rescale_every));
    out.push_back(std::move(b));
  }
  return out;
}

// ---- files

// Stored as dtype, which has to hold the numbers exactly (synthetic_model.h).
inline TensorToWrite to_write(const Array& a, StoredType dtype = StoredType::kF32) {
  TensorToWrite t = tensor_to_write(a.name, a.shape, std::span<const float>(a.values));
  if (dtype == StoredType::kF32) return t;
  t.dtype = dtype;
  t.write = [&a, dtype](std::ostream& out) {
    std::vector<uint16_t> bits;
    for (float v : a.values)
      bits.push_back(dtype == StoredType::kBF16 ? to_bf16(v).bits : to_f16(v).bits);
    write_bytes(out, std::as_bytes(std::span(bits)));
  };
  return t;
}

inline void write_arrays(const std::filesystem::path& path, const Arrays& arrays,
                         StoredType dtype = StoredType::kF32) {
  std::vector<TensorToWrite> tensors;
  for (const Array& a : arrays) tensors.push_back(to_write(a, dtype));
  write_safetensors(path, tensors);
}

// model.safetensors and config.json of a Hugging Face directory.
inline void write_hugging_face(const std::filesystem::path& folder, const SyntheticModel& m,
                               StoredType dtype = StoredType::kF32) {
  write_arrays(folder / "model.safetensors", hugging_face(m), dtype);
  Json config = {{"hidden_size", m.shape.d_model},
                 {"num_attention_heads", 64},  // wrong in every published file
                 {"num_hidden_layers", m.shape.n_layer},
                 {"layer_norm_epsilon", 1e-5},
                 {"rescale_every", 6}};
  if (m.shape.version != Version::kV4) {
    config["head_size"] = m.shape.head_size;
    config["head_size_divisor"] = 8;
  }
  std::ofstream(folder / "config.json") << config.dump();
}

// A torch file of f32 tensors; `more`: other top-level entries, as opcodes.
inline std::string pth(const Arrays& arrays, pickle::Entries more = {}) {
  pickle::Entries entries;
  std::vector<Storage> storages;
  for (const Array& a : arrays) {
    const std::string key = std::to_string(storages.size());
    std::vector<int64_t> shape(a.shape.begin(), a.shape.end()), strides(shape.size(), 1);
    for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
    entries.push_back(
        {a.name,
         pickle::tensor(pickle::storage("FloatStorage", key, static_cast<int64_t>(a.values.size())),
                        0, shape, strides)});
    storages.push_back({key, data_of(a.values)});
  }
  entries.insert(entries.end(), more.begin(), more.end());
  return torch_zip(pickle::dict(entries), storages);
}

inline void write_rwkv_cpp(const std::filesystem::path& path, const SyntheticModel& m) {
  std::ofstream out(path, std::ios::binary);
  const auto u32 = [&out](size_t v) {
    const auto n = static_cast<uint32_t>(v);
    out.write(reinterpret_cast<const char*>(&n), 4);
  };
  for (size_t v : {size_t{0x67676d66}, size_t{101}, m.shape.n_vocab, m.shape.d_model,
                   m.shape.n_layer, size_t{0}})
    u32(v);
  for (const Array& a : rwkv_cpp(m)) {
    for (size_t v : {a.shape.size(), a.name.size(), size_t{0}}) u32(v);
    for (size_t i = a.shape.size(); i-- > 0;) u32(a.shape[i]);
    out << a.name;
    out.write(reinterpret_cast<const char*>(a.values.data()),
              static_cast<std::streamsize>(a.values.size() * 4));
  }
}

inline void write_gguf_model(const std::filesystem::path& path, const SyntheticModel& m,
                             const Arrays& arrays, size_t rescale_every = 0) {
  const std::string arch = m.shape.version == Version::kV7 ? "rwkv7" : "rwkv6";
  GgufMetadata meta = {{"general.architecture", arch},
                       {arch + ".attention.layer_norm_epsilon", 1e-5f},
                       {arch + ".wkv.head_size", static_cast<uint32_t>(m.shape.head_size)}};
  if (m.shape.version == Version::kV6)
    meta.push_back({arch + ".rescale_every_n_layers", static_cast<uint32_t>(rescale_every)});
  std::vector<TensorToWrite> tensors;
  for (const Array& a : arrays) tensors.push_back(to_write(a));
  write_gguf(path, meta, tensors);
}

}  // namespace fathom::test
