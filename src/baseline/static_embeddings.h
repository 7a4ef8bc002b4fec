// SPDX-License-Identifier: Apache-2.0
// Static token embeddings: a sentence is the mean of its tokens' vectors. This is the baseline that
// a model's blocks have to beat, because it sees the same tokens without their order.
//
// Reads a folder with model.safetensors (or any other weight file) that holds `emb.weight`
// (n_vocab, dim), and a vocabulary beside it (encode/vocabulary.h). An RWKV model's folder works as
// well: its embedding table is used.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "encode/vocabulary.h"

namespace fathom {

// Immutable after opening; safe to use from many threads.
class StaticEmbeddings {
 public:
  // Throws Error naming the file: no emb.weight, not a matrix, numbers that are not finite, no
  // vocabulary, or one with ids beyond the table.
  static StaticEmbeddings open(const std::filesystem::path& folder);

  size_t dim() const { return dim_; }
  size_t memory_bytes() const { return vectors_.size() * sizeof(float); }
  const std::string& vocabulary() const { return vocabulary_.source; }

  // Writes the mean over the tokens of the text (summed in double), the zero vector if it has none.
  // mean: (dim). Returns the number of tokens.
  size_t embed(std::string_view text, std::span<float> mean) const;

 private:
  StaticEmbeddings() = default;

  size_t dim_ = 0;
  std::vector<float> vectors_;  // (n_vocab, dim)
  Vocabulary vocabulary_;
};

}  // namespace fathom
