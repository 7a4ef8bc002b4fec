// SPDX-License-Identifier: Apache-2.0
// Names: maps the tensors of a checkpoint to the weights of RWKV, for every layout.
//
// All layouts are mapped to one canonical set of names, BlinkDL's, with every matrix as (n_out,
// n_in). The differences between layouts (spelling, transposed LoRAs, fused vectors, group order)
// are in one table, names_table.cc. Sources: docs/layouts.md.
//
// config.json beside the weights may explain missing tensors. Without a prefix these keys count:
// norm_bias false, embedding_layer_norm_fused true (fla: norm_first false), tie_word_embeddings
// true.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/checkpoint.h"
#include "model/adapter.h"
#include "model/config.h"
#include "model/source_weight.h"

namespace fathom {

enum class TensorLayout : uint8_t {
  kBlinkDl,
  kHuggingFace,
  kFla,
  kGguf,
  kGgmf,
  kWebRwkv,
  kNative,  // transformers' own RWKV-7 (docs/layouts.md)
};
std::string_view name_of(TensorLayout layout);

class Names {
 public:
  // Only tensors whose name begins with `prefix` count; it is cut off ("reranker.", else "").
  // Tensors whose stored name matches one of the patterns of `ignore` (see unused.h) are left out.
  // Throws Error if the checkpoint holds no RWKV, or one that is refused by name (v7b, v8,
  // Qwen hybrids, hybrid attention), an adapter without its model, or a tensor that its config.json
  // says the model has not.
  explicit Names(const Checkpoint& checkpoint, std::string_view prefix = "",
                 std::span<const std::string> ignore = {});

  TensorLayout layout() const { return layout_; }
  Version version() const { return version_; }
  size_t n_layer() const { return n_layer_; }
  bool has_deep_embed() const { return has_deep_embed_; }  // v7a: any part of it, in any block

  // A weight by its canonical name, for example ("att.time_maa_w1", 3) or ("emb.weight"); nullopt
  // if the file has none. 1-D tensors come as one row. Remembers that the tensor was used. Zeros
  // for the bias of a layer norm in a model without, the embedding for the head of a model that
  // ties it. Throws Error, naming it, if it is no weight: an integer without scales, a type that
  // cannot be read.
  std::optional<SourceWeight> find(std::string_view canonical,
                                   std::optional<size_t> block = std::nullopt);
  // The same; throws Error naming the canonical name and the spellings looked for.
  SourceWeight get(std::string_view canonical, std::optional<size_t> block = std::nullopt);
  bool has(std::string_view canonical, std::optional<size_t> block = std::nullopt) const;
  // The stored tensor behind a weight, before any view is taken; nullptr if absent.
  const Tensor* stored(std::string_view canonical,
                       std::optional<size_t> block = std::nullopt) const;

  // config.json beside the weights where it belongs to them (config_json.h), else null.
  const Json& config() const { return *config_; }
  // True if the rows of the embedding are ln0's output already, so that there is no ln0.
  bool has_fused_ln0() const { return fused_ln0_; }
  // True if the layer norms have a bias; else find() gives zeros, and stored() nothing.
  bool has_norm_bias() const { return norm_bias_; }
  // True if the output head is the embedding, and no tensor of its own.
  bool has_tied_head() const { return tied_head_; }

  // Tensors that no reader used, in file order.
  std::vector<std::string> unused() const;
  void mark_used(const Tensor* tensor) { used_.insert(tensor); }
  std::span<const Tensor* const> tensors() const { return all_; }  // in file order
  // Tensors that `ignore` left out, in file order.
  const std::vector<std::string>& left_out() const { return left_out_; }

  // From now on the weight of this module ("base_model.model.blocks.0.att.key", in any spelling of
  // any layout) is given with the update. false: there is no such weight.
  bool merge(const std::string& module, const LowRankUpdate& update);

 private:
  struct Hit;
  void add_scales(const Hit& hit, SourceWeight& weight);
  void add_updates(const Hit& hit, SourceWeight& weight) const;
  void require_not_packed(std::string_view canonical, std::optional<size_t> block) const;
  const Tensor* sibling(std::string_view weight_name, std::string_view ending) const;
  std::optional<Hit> lookup(std::string_view canonical, std::optional<size_t> block) const;
  std::optional<SourceWeight> find_zeros(std::string_view canonical,
                                         std::optional<size_t> block) const;
  void detect_version();
  void detect_layout(const Checkpoint& checkpoint);
  bool is_native() const;
  void read_config();

  TensorLayout layout_ = TensorLayout::kBlinkDl;
  Version version_ = Version::kV6;
  size_t n_layer_ = 0;
  bool has_deep_embed_ = false;
  bool loras_out_in_ = false;  // LoRA matrices stored (out, in) instead of BlinkDL's (in, out)
  bool fused_ln0_ = false, norm_bias_ = true, tied_head_ = false;
  std::unordered_map<std::string, const Tensor*> by_name_;  // normalised name -> stored tensor
  std::vector<const Tensor*> all_;                          // in file order
  std::unordered_set<const Tensor*> used_;
  std::vector<std::string> left_out_;
  std::unordered_map<const Tensor*, std::vector<LowRankUpdate>> updates_;  // by what they change
  const Json* config_ = nullptr;                                           // the checkpoint's
};

}  // namespace fathom
