// SPDX-License-Identifier: Apache-2.0
// Embeddings into a file whose ending says its format:
//
//   .npy          (n_layer, n_text, dim), or (n_text, dim) for one layer; float32
//   .safetensors  one tensor "layer.<name>" (n_text, dim) a layer; what made it in __metadata__
//   .jsonl        {"line", "id", "text", "label", "exit_layer", "class", "confidence",
//                 "embedding": [...]} a text; of several layers "embedding": {layer: [...]}, and the
//                 same once more as "embeddings", as it was called until version 0.9
//   .csv          line, id, text, label, layer, exit_layer, class, confidence, e0, e1, ... a text and
//                 layer
//
// id, text and label are there if they were asked for, exit_layer, class and confidence under a depth
// policy; a class or a confidence that the policy does not know is null, or an empty field.
// A number that is not finite is null in .jsonl, nan, inf or -inf in .csv.
//
// What made them goes beside every format but safetensors, as <file>.json. Vectors reach the disk as
// they come, each at its place.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/output_set.h"
#include "depth/policy.h"

namespace fathom {

// What a file of vectors is about.
struct EmbeddedTexts {
  std::vector<std::string> layers;  // names
  std::vector<size_t> lines;        // (n_text) line of the input
  size_t dim = 0;
  // Of .jsonl and .csv, (n_text) each or empty.
  std::vector<std::string> id = {}, text = {}, label = {};
  bool traced = false;                    // add() gets what a depth policy did
  std::vector<std::string> classes = {};  // names of the policy's classes; empty: their numbers
};

// One thread at a time. The files appear at the commit() of their OutputSet.
class EmbeddingFile {
 public:
  virtual ~EmbeddingFile() = default;
  // The next texts, (n_layer, n, dim); trace: (n) if the texts are traced. Throws Error if the disk
  // does not take them.
  virtual void add(std::span<const float> vectors, size_t n,
                   std::span<const DepthTrace> trace = {}) = 0;
  // All texts have been added. Opens what goes beside the vectors, the last file of the commit.
  virtual void finish() = 0;
};

// Before the work: the vectors and what goes beside them. Throws UsageError for another ending or
// an input in the place, Error if the place cannot be written.
void expect_embedding_file(OutputSet& outputs, const std::filesystem::path& path);

// Opens the vectors in `outputs`, which must outlive the file. Throws Error, at once if the disk has no room for
// vectors whose size is known (.npy, .safetensors).
std::unique_ptr<EmbeddingFile> open_embedding_file(const std::filesystem::path& path,
                                                   EmbeddedTexts shape, const OrderedJson& made_by,
                                                   OutputSet& outputs);

}  // namespace fathom
