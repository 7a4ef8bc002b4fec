// SPDX-License-Identifier: Apache-2.0
// Task heads of EmbeddingRWKV: an embedding for one task, from RWKV-7's output at the end of a text
// (github.com/howard-hou/EmbeddingRWKV; docs/layouts.md).
//
//   p = mean of ln_out's rows at the end-of-text tokens (kEosToken by default)
//   e = LN(fc2 relu(fc1 p) + p), eps 1e-5
//
// In the checkpoint: head.{cls,sts,retr}_head.{fc1.weight (C, C), fc2.weight (C, C), norm.weight
// (C), norm.bias (C)}.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "encode/pooling.h"
#include "model/model.h"

namespace fathom {

HeadKind parse_head(std::string_view name);  // "cls", "sts", "retr"; UsageError
std::string_view name_of(HeadKind kind);

// Immutable; share it between threads, each with its own Workspace.
class TaskHead {
 public:
  // Throws Error naming the file and the tensor that is not there or has another shape.
  TaskHead(const Model& model, HeadKind kind);

  // out = embeddings of the pooled rows; both (n, C), and may be the same. Products are f32
  // for every dtype of the model: there is one row a text, not one a token. Rows are not in work.
  void apply(Matrix<const float> pooled, Matrix<float> out, Workspace& work) const;

 private:
  const Backend& backend_;
  std::unique_ptr<PackedWeight> fc1_, fc2_;     // (C, C)
  std::vector<float> norm_weight_, norm_bias_;  // (C)
};

// The heads that are there with all their tensors.
std::vector<HeadKind> heads_in(const Checkpoint& checkpoint);

// For `fathom info`: heads_in(); takes their tensors out of info.ignored, and with a note those of
// the image encoder that comes with them (vit.*, proj.*).
std::vector<HeadKind> account_for_heads(const Checkpoint& checkpoint, ModelInfo& info);

// Mean (C) of the rows (T, C) whose token ends the text; nullopt if none does.
std::optional<std::vector<float>> mean_at_eos(std::span<const uint32_t> ids,
                                              Matrix<const float> rows, EosRule eos = {});

}  // namespace fathom
