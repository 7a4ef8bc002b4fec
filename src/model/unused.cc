// SPDX-License-Identifier: Apache-2.0
#include "model/unused.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/error.h"
#include "model/names.h"

namespace fathom {
namespace {

// Nothing of RWKV computes with these. reranker.*: a second model in the file, read by its prefix;
// head.*_head.* and reranker.head.*: by encode/task_heads and encode/reranker.
constexpr const char* kHarmless[] = {
    "vit.*",
    "proj.*",
    "reranker.*",
    "reranker_layer_idx",
    "head.*_head.fc[12].weight",
    "head.*_head.norm.weight",
    "head.*_head.norm.bias",
    "optimizer.*",
    "optimizer_state*",
    "lr_scheduler.*",
    "*.exp_avg",
    "*.exp_avg_sq",
    "*.momentum_buffer",
    "*.inv_freq",
    "*.rotary_emb.*",
    "*.position_ids",
    "*.num_batches_tracked",
};
constexpr std::string_view kRerankerHead[] = {"head.0.weight", "head.0.bias", "head.2.weight"};

struct Meaning {
  std::string_view part, words;
};
// By a part of the name, the first that fits.
constexpr Meaning kMeanings[] = {
    {"moba.", "RWKV-X: blocks of sparse attention between those of RWKV"},
    {"lora_magnitude", "a DoRA adapter, which is not merged"},
    {".dora", "a DoRA adapter, which is not merged"},
    {"lora_embedding_", "a LoRA adapter of the embedding, which is not merged"},
    {"lora_A",
     "a LoRA adapter; its alpha is not known: expected adapter_config.json beside it, or "
     "`adapter_alpha`"},
    {"lora_B",
     "a LoRA adapter; its alpha is not known: expected adapter_config.json beside it, or "
     "`adapter_alpha`"},
    {"lora_", "an adapter that is not merged"},
    {".bone", "a Bone adapter, which is not merged"},
    {".disha", "a DiSHA adapter, which is not merged"},
    {".miss", "a MiSS adapter, which is not merged"},
    {"modules_to_save", "a whole module that PEFT trained beside an adapter, which is not merged"},
    {"original_module", "a module that PEFT replaced"},
    {"tiny_", "tiny attention beside RWKV's blocks"},
    {"pos_emb", "learned positions added to the embedding"},
    {"head_q.", "attention at the output head"},
    {"head_k.", "attention at the output head"},
    {"quant_state", "a 4-bit weight of bitsandbytes"},
    {".absmax", "a 4-bit weight of bitsandbytes"},
    {".SCB", "scales of an int8 weight that is not there"},
    {"weight_scale", "scales of a quantised weight that is not there"},
    {"scale_weight", "scales of a quantised weight that is not there"},
    {"qweight", "a weight of GPTQ or AWQ"},
    {"qzeros", "a weight of GPTQ or AWQ"},
};

// blocks.N.x.bias beside a matrix blocks.N.x.weight.
bool is_linear_bias(const Names& names, const std::string& name) {
  if (!name.ends_with(".bias")) return false;
  const std::string weight = name.substr(0, name.size() - 4) + "weight";
  return std::ranges::any_of(
      names.tensors(), [&](const Tensor* t) { return t->name == weight && t->shape.size() == 2; });
}

bool is_harmless(const Names& names, const std::string& prefix, const std::string& name) {
  const std::string own = name.substr(prefix.size());
  if (!prefix.empty() &&
      std::find(std::begin(kRerankerHead), std::end(kRerankerHead), own) != std::end(kRerankerHead))
    return true;
  for (const char* pattern : kHarmless)
    if (fnmatch(pattern, own.c_str(), 0) == 0) return true;
  if (names.version() != Version::kV7) return false;
  for (const char* dummy : {"att.v0", "att.v1", "att.v2"})
    if (const Tensor* t = names.stored(dummy, 0); t && t->name == name) return true;
  return false;
}

}  // namespace

bool matches_any(const std::string& name, std::span<const std::string> patterns) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

std::string meaning_of_unused(const std::string& name) {
  for (const Meaning& m : kMeanings)
    if (name.find(m.part) != name.npos) return std::string(m.words);
  return {};
}

std::string first_three(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names.first(std::min<size_t>(names.size(), 3)))
    text += (text.empty() ? "" : ", ") + name;
  return names.size() > 3 ? text + ", ..." : text;
}

std::string refusal_of_unused(const Names& names, const std::string& prefix) {
  std::vector<std::string> unknown;
  std::string meaning;
  for (const std::string& name : names.unused()) {
    if (is_harmless(names, prefix, name)) continue;
    unknown.push_back(name);
    if (!meaning.empty()) continue;
    meaning = is_linear_bias(names, name) ? "the bias of a linear layer, which RWKV does not have"
                                          : meaning_of_unused(name);
  }
  if (unknown.empty()) return {};
  return concat(unknown.size(), unknown.size() == 1 ? " tensor is" : " tensors are",
                " not part of RWKV-", name_of(names.version()), ": ", first_three(unknown),
                meaning.empty() ? "" : concat(" (", meaning, ")"),
                "; vectors without them may be wrong: `ignore_tensors` PATTERN leaves them out");
}

}  // namespace fathom
