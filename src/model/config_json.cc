// SPDX-License-Identifier: Apache-2.0
#include "model/config_json.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "model/names_table.h"

namespace fathom {
namespace {

struct Sizes {
  size_t hidden_size = 0, num_hidden_layers = 0, vocab_size = 0;
};

// The sizes of the tensors, from the table of embeddings and the blocks beside it.
Sizes sizes_of(const Checkpoint& checkpoint) {
  const Tensor* table = nullptr;
  std::string root;
  for (const Tensor& t : checkpoint.tensors())
    for (std::string_view ending : {"token_embd.weight", "embeddings.weight", "emb.weight"}) {
      if (!t.name.ends_with(ending) || t.shape.size() != 2) continue;
      const std::string before = t.name.substr(0, t.name.size() - ending.size());
      if (!before.empty() && before.back() != '.') continue;
      if (table && table->name.size() <= t.name.size()) continue;
      table = &t;
      root = before;
    }
  Sizes sizes;
  if (!table) return sizes;
  sizes.vocab_size = table->shape[0];
  sizes.hidden_size = table->shape[1];
  for (const Tensor& t : checkpoint.tensors())
    if (const auto number =
            t.name.starts_with(root) ? block_number(t.name.substr(root.size())) : std::nullopt)
      sizes.num_hidden_layers = std::max(sizes.num_hidden_layers, *number + 1);
  return sizes;
}

// model.safetensors, model-00001-of-00002.safetensors, pytorch_model.bin, ...
bool has_hugging_faces_name(const Checkpoint& checkpoint) {
  const std::string name = checkpoint.files().front().filename().string();
  return name == "model.safetensors" || name == "pytorch_model.bin" ||
         (name.starts_with("model-") && name.ends_with(".safetensors")) ||
         (name.starts_with("pytorch_model-") && name.ends_with(".bin"));
}

}  // namespace

std::string why_config_is_not_used(const Checkpoint& checkpoint) {
  const Json& config = checkpoint.config();
  if (!config.is_object()) return {};
  const Sizes sizes = sizes_of(checkpoint);
  bool compared = false;
  for (const auto& [key, size] : {std::pair("hidden_size", sizes.hidden_size),
                                  std::pair("num_hidden_layers", sizes.num_hidden_layers),
                                  std::pair("vocab_size", sizes.vocab_size)}) {
    const auto found = config.find(key);
    if (found == config.end() || !found->is_number()) continue;
    compared = true;
    if (found->get<double>() != static_cast<double>(size))
      return concat("config.json belongs to other weights and is not used: its ", key, " is ",
                    dump_json(*found), ", the tensors' ", size);
  }
  if (compared || has_hugging_faces_name(checkpoint)) return {};
  return "config.json gives none of the model's sizes (hidden_size, ...) and is not used";
}

const Json& config_json(const Checkpoint& checkpoint) {
  static const Json none;
  return why_config_is_not_used(checkpoint).empty() ? checkpoint.config() : none;
}

}  // namespace fathom
