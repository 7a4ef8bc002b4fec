// SPDX-License-Identifier: Apache-2.0
// Embeddings into a file whose ending says its format:
//
//   .npy          (n_layer, n_text, dim), or (n_text, dim) for one layer; float32, or as OutputNumbers
//                 stores them
//   .safetensors  one tensor "layer.<name>" (n_text, dim) a layer; what made it in __metadata__
//   .jsonl        {"line", "id", "text", "label", "exit_layer", "class", "confidence",
//                 "embedding": [...]} a text; of several layers "embedding": {layer: [...]}, and the
//                 same once more as "embeddings", as it was called until version 0.9
//   .csv          line, id, text, label, layer, exit_layer, class, confidence, e0, e1, ... a text and
//                 layer
//
// line is in front of all, and the file's name in front of it where there are several inputs. id, text
// and label are there if they were asked for, exit_layer, class and confidence under a depth
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
#include "results/output_numbers.h"

namespace fathom {

// What a file of vectors is about.
struct EmbeddedTexts {
  std::vector<std::string> layers;  // names
  size_t n_text = 0;
  size_t dim = 0;
  OutputNumbers numbers = {};
  // Of .jsonl and .csv: which columns there are.
  bool has_file = false, has_id = false, has_text = false, has_label = false;
  bool traced = false;                    // add() gets what a depth policy did
  std::vector<std::string> classes = {};  // names of the policy's classes; empty: their numbers
};

// What goes with the vectors of a text into .jsonl and .csv.
struct EmbeddedRow {
  size_t line = 0;  // of the input
  std::string file = {}, id = {}, text = {}, label = {};
};

struct FileRange {
  uint64_t begin = 0, size = 0;
};

// Where a file is gone on with: so many texts are in it, the last byte of which is in front of `end`.
struct WrittenSoFar {
  size_t n_text = 0;
  uint64_t end = 0;
};

// One thread at a time. The files appear at the commit() of their OutputSet.
class EmbeddingFile {
 public:
  virtual ~EmbeddingFile() = default;
  // The next texts, (n_layer, n, dim) and (n); trace: (n) if the texts are traced. Throws Error if the
  // disk does not take them.
  virtual void add(std::span<const float> vectors, std::span<const EmbeddedRow> rows,
                   std::span<const DepthTrace> trace = {}) = 0;
  // Where in the file the texts are that came since the last call: a range of each layer, or one.
  virtual std::vector<FileRange> take_ranges() = 0;
  // The file itself, for who makes sure that the disk has it.
  virtual AtomicFile& file() = 0;
  // All texts have been added. Opens what goes beside the vectors, the last file of the commit.
  virtual void finish() = 0;
};

// Before the work: the vectors and what goes beside them. Throws UsageError for another ending or
// an input in the place, Error if the place cannot be written.
void expect_embedding_file(OutputSet& outputs, const std::filesystem::path& path);

// Opens the vectors in `outputs`, which must outlive the file; `unfinished` and `so_far`: of a file that
// is kept and gone on with. Throws Error, at once if the disk has no room for
// vectors whose size is known (.npy, .safetensors).
std::unique_ptr<EmbeddingFile> open_embedding_file(const std::filesystem::path& path,
                                                   EmbeddedTexts shape, const OrderedJson& made_by,
                                                   OutputSet& outputs,
                                                   AtomicFile::Unfinished unfinished = {},
                                                   WrittenSoFar so_far = {});
// "e.npy.json", beside "e.npy"; "" where what made the vectors is in their own file.
std::filesystem::path beside_embedding_file(const std::filesystem::path& path);

}  // namespace fathom
