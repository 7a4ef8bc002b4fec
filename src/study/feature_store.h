// SPDX-License-Identifier: Apache-2.0
// FeatureCache: the pooled vectors of many texts at all layers, in one file that survives the
// process. A run that is killed at any moment resumes.
//
//   page 0       "FATHOMFC", a version, the sizes, the number of finished texts, and the key: a
//                text that identifies the vectors (model, texts, pooling, ...)
//   from page 1  (n_text, 2) U32: tokens that the model read for each text, 0 where it is not done,
//                and the checksum of the text's number and that
//   next page    (n_layer, n_text) U32: the checksum of each vector
//   next page    (n_layer, n_text, dim) F32 or BF16, little-endian
//
// A checksum is the lower half of XXH3. The count is written after its vectors have reached the
// disk. A file with another key or size is started again.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/mapped_file.h"
#include "encode/embed_texts.h"

namespace fathom {

struct FeatureShape {
  size_t n_layer = 0, n_text = 0, dim = 0;
  StoredType dtype = StoredType::kF32;  // or kBF16
};

// One thread of one process writes; when all texts are done any number of both may read.
class FeatureCache {
 public:
  // Throws Error naming the file: it cannot be written, or another process is filling it.
  FeatureCache(std::filesystem::path path, std::string key, const FeatureShape& shape);
  FeatureCache(FeatureCache&& other) noexcept;
  FeatureCache& operator=(FeatureCache&&) = delete;
  ~FeatureCache();

  const FeatureShape& shape() const { return shape_; }
  const std::filesystem::path& path() const { return path_; }
  size_t n_done() const { return n_done_; }
  bool complete() const { return n_done_ == shape_.n_text; }

  // The vectors of the next texts, (n_layer, n, dim), and how long each of them is, (n). Throws
  // Error if the disk does not take them.
  void append(std::span<const float> values, std::span<const uint32_t> n_token);

  // Of complete caches, read from the mapped file. Throw Error naming the file and the text where
  // the disk holds something else than was written.
  // Vectors of texts begin .. begin + n - 1 at one layer, (n, dim).
  void read(size_t layer, size_t begin, size_t n, std::span<float> out) const;
  std::vector<size_t> n_token() const;  // (n_text)

 private:
  void lock(int kind) const;                  // LOCK_SH or LOCK_EX
  std::optional<size_t> stored_done() const;  // nullopt: the file holds something else
  void start_anew();
  void map_if_complete();
  void write_at(const void* data, size_t size, size_t offset) const;
  size_t sum_offset(size_t layer, size_t text) const;
  size_t offset_of(size_t layer, size_t text) const;
  [[noreturn]] void fail_damaged(size_t text) const;

  std::filesystem::path path_;
  std::string key_;
  FeatureShape shape_;
  size_t n_done_ = 0;
  int file_ = -1;
  std::optional<MappedFile> mapped_;  // when complete
};

// Encodes the texts that are not done yet, some at a time; `progress` is called with texts done.
// The encoder's layers are the cache's. Throws Error that names the text: an empty one, or one with
// a vector that is not finite (with the layer and the first block to blame).
void fill(FeatureCache& cache, const Encoder& encoder, const Tokenizer& tokenizer,
          std::span<const std::string_view> texts, Workspace& work,
          const std::function<void(size_t)>& progress = {}, const TextPlace& place = {});

}  // namespace fathom
