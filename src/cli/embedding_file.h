// SPDX-License-Identifier: Apache-2.0
// Embeddings into a file whose ending says its format:
//
//   .npy          (n_layer, n_text, dim), or (n_text, dim) for one layer; float32
//   .safetensors  one tensor "layer.<name>" (n_text, dim) a layer; what made it in __metadata__
//   .jsonl        {"line", "embedding": [...]} a text, or "embeddings": {layer: [...]} for several
//   .csv          line, layer, e0, e1, ... a text and layer
//
// A number that is not finite is null in .jsonl, nan, inf or -inf in .csv.
//
// What made them goes beside every format but safetensors, as <file>.json.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"

namespace fathom::cli {

struct EmbeddingShape {
  std::vector<std::string> layers;  // names
  std::vector<size_t> lines;        // (n_text) line of the input
  size_t dim = 0;
};

// One thread at a time. Outputs appear at commit(), whole or not at all.
class EmbeddingFile {
 public:
  virtual ~EmbeddingFile() = default;
  // The next texts, (n_layer, n, dim). One layer streams to disk; several are held until commit
  // where the format puts the layer outermost.
  virtual void add(std::span<const float> vectors, size_t n) = 0;
  virtual void commit() = 0;
};

// Throws UsageError for another ending, Error if the place cannot be written.
std::unique_ptr<EmbeddingFile> open_embedding_file(const std::filesystem::path& path,
                                                   EmbeddingShape shape,
                                                   const OrderedJson& made_by);

}  // namespace fathom::cli
