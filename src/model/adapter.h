// SPDX-License-Identifier: Apache-2.0
// Adapters: low-rank matrices that are added to a model's weights, W + factor B A (LoRA, arXiv
// 2106.09685). They come from PEFT (adapter_model.safetensors and adapter_config.json), from a
// torch file of RWKV-PEFT, or from the model's own file beside the weights.
//
// Only plain LoRA is merged. Other adapters are refused by name: DoRA, biases, whole modules, ranks
// by pattern, PiSSA, embeddings.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace fathom {

class Names;
struct ModelOptions;

// Added to a matrix (n_out, n_in): factor * up down.
struct LowRankUpdate {
  Tensor down;        // A (r, n_in)
  Tensor up;          // B (n_out, r)
  double factor = 1;  // alpha / r, or alpha / sqrt(r) (rank-stabilised)
};

// Adds rows [begin, begin + n_row) of the update to `values`, (n_row, n_in). Sums are double.
void add_rows(const LowRankUpdate& update, size_t begin, size_t n_row, float* values);

// The LoRA that adapter_config.json describes. Throws Error naming the field that is not plain.
struct LoraConfig {
  double alpha = 0;
  size_t rank = 0;  // 0: not said
  bool rank_stabilised = false;
};
LoraConfig parse_adapter_config(std::string_view text);

// Whether a tensor's name is that of a LoRA's matrix; where it is, the module it belongs to.
struct LoraName {
  std::string module;  // "blocks.0.att.key", with the spelling of the file
  bool is_up = false;  // B
};
std::optional<LoraName> parse_lora_name(const std::string& name);

// For results: what was merged into a model.
struct AdapterInfo {
  std::string source;  // the file
  size_t rank = 0;
  double alpha = 0, factor = 0;
  size_t n_weight = 0;  // matrices of the model that it changes
};

// The adapters of a model that is being opened. Tensors point into files that it owns, and into the
// model's checkpoint, which has to stay.
class Adapters {
 public:
  Adapters();
  Adapters(Adapters&&) noexcept;
  Adapters& operator=(Adapters&&) noexcept;
  ~Adapters();
  // Reads options.adapter, if there is one, and the LoRA matrices among the model's own tensors, if
  // alpha is known (adapter_config.json beside them, or options.adapter_alpha). Throws Error.
  static Adapters open(const Checkpoint& model, const ModelOptions& options);

  // Gives every update to the weight it changes. Throws Error naming those that fit none.
  void merge_into(Names& names) const;
  const std::vector<AdapterInfo>& info() const;
  // Changes with the numbers: "" if there are no adapters.
  std::string hash() const;

 private:
  struct Part;
  std::vector<std::unique_ptr<Part>> parts_;
  std::vector<AdapterInfo> info_;
};

// adapter_model.* or adapter_config.json beside a model's weights that no option names; "" if
// there is none.
std::string adapter_beside(const Checkpoint& model);

}  // namespace fathom
