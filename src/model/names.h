// SPDX-License-Identifier: Apache-2.0
// Names: which tensor of a checkpoint is which weight of RWKV, whatever wrote the file.
//
// All layouts are brought to one canonical set of names, BlinkDL's, with every matrix as
// (n_out, n_in). What differs between layouts (spelling, transposed LoRAs, fused vectors, group
// order) stands in the one table of names.cc. Sources: FORMATS sections 2, 3, 6, 7.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/matrix.h"
#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "model/config.h"

namespace fathom {

enum class TensorLayout : uint8_t { kBlinkDl, kHuggingFace, kFla, kGguf, kGgmf, kWebRwkv };
std::string_view name_of(TensorLayout layout);

// A weight as the file has it: strided views, 2-D, whose rows joined are the canonical matrix.
struct SourceWeight {
  std::vector<Tensor> parts;
  float scale = 1;  // undoes a rescale that was folded into the stored weight

  size_t rows() const;
  size_t cols() const;  // the same in every part
};
// Rows [begin, end) as f32, (end - begin, cols). Thread-safe.
void read_rows(const SourceWeight& source, size_t begin, size_t end, float* out);
// The row of each token, into out (tokens.size(), cols). Of a mapped table only the pages of tokens
// that occur are ever read. Every token is below source.rows().
void look_up(const SourceWeight& source, std::span<const uint32_t> tokens, Matrix<float> out,
             ThreadPool& pool);

class Names {
 public:
  // Only tensors whose name begins with `prefix` count; it is cut off ("reranker.", else "").
  // Throws Error if the checkpoint holds no RWKV, or one that is refused by name (v7b, v8,
  // Qwen hybrids, hybrid attention).
  explicit Names(const Checkpoint& checkpoint, std::string_view prefix = "");

  TensorLayout layout() const { return layout_; }
  Version version() const { return version_; }
  size_t n_layer() const { return n_layer_; }
  bool has_deep_embed() const { return has_deep_embed_; }  // v7a: any part of it, in any block

  // A weight by its canonical name, for example ("att.time_maa_w1", 3) or ("emb.weight"); nullopt
  // if the file has none. 1-D tensors come as one row. Remembers that the tensor was used.
  std::optional<SourceWeight> find(std::string_view canonical,
                                   std::optional<size_t> block = std::nullopt);
  // The same; throws Error naming the canonical name and the spellings looked for.
  SourceWeight get(std::string_view canonical, std::optional<size_t> block = std::nullopt);
  bool has(std::string_view canonical, std::optional<size_t> block = std::nullopt) const;
  // The stored tensor behind a weight, before any view is taken; nullptr if absent.
  const Tensor* stored(std::string_view canonical,
                       std::optional<size_t> block = std::nullopt) const;

  // Tensors that nobody asked for, in file order.
  std::vector<std::string> unused() const;

 private:
  struct Hit;
  std::optional<Hit> lookup(std::string_view canonical, std::optional<size_t> block) const;
  void detect_version();
  void detect_layout(const Checkpoint& checkpoint);

  TensorLayout layout_ = TensorLayout::kBlinkDl;
  Version version_ = Version::kV6;
  size_t n_layer_ = 0;
  bool has_deep_embed_ = false;
  bool loras_out_in_ = false;  // LoRA matrices stored (out, in) instead of BlinkDL's (in, out)
  std::unordered_map<std::string, const Tensor*> by_name_;  // normalised name -> stored tensor
  std::vector<const Tensor*> all_;                          // in file order
  std::unordered_set<const Tensor*> used_;
};

}  // namespace fathom
