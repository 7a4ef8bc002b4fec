// SPDX-License-Identifier: Apache-2.0
// Checkpoint: the tensors of one model, from whatever file(s) they come in. Knows files, not RWKV:
// what the names mean is model/names.h.
//
//   Hugging Face directory   model.safetensors, model.safetensors.index.json, pytorch_model.bin,
//                            pytorch_model.bin.index.json, in this order; config.json beside them.
//                            Else the one weight file in it (.safetensors .pth .bin .gguf .st);
//                            of several, the one named model.* if there is just one such.
//   index.json               exactly the shards it names
//   models--ORG--NAME        a model in the cache of Hugging Face's hub: its snapshot in refs/main;
//                            so does ORG/NAME, where that is no path (formats/hub_cache.h)
//   one weight file          exactly that file; its format is detected from its first bytes, never
//                            from its name. The first file of a split GGUF brings the others.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "formats/tensor.h"

namespace fathom {

enum class FileFormat { kSafetensors, kTorch, kGguf, kGgmf };
std::string_view name_of(FileFormat format);  // "safetensors", "torch", "gguf", "ggmf"

// A metadata value of a GGUF file. Arrays are not unpacked: they stay in the file.
struct MetaArray {
  uint32_t type = 0;  // GGUF value type of the elements
  uint64_t count = 0;
  std::span<const std::byte> bytes;  // the elements, as stored
};
using MetaValue = std::variant<uint64_t, int64_t, double, bool, std::string_view, MetaArray>;
// The strings of an array of strings, as views into the file. Throws Error if it is something else.
std::vector<std::string_view> meta_strings(const MetaArray& array, std::string_view key);
// The numbers of an array of integers. Throws Error if it is something else.
std::vector<int64_t> meta_integers(const MetaArray& array, std::string_view key);

// What a rwkv.cpp file says in its header.
struct GgmfHeader {
  uint32_t version = 0, n_vocab = 0, n_embed = 0, n_layer = 0, dtype = 0;
};

class Checkpoint {
 public:
  // Throws Error naming the file: missing, truncated, not a format of the list above, a git-lfs
  // pointer, a pickle that names a foreign global, tensors of two shards with one name, ...
  // Reads headers only; never allocates more than the size of the files plus a constant.
  static Checkpoint open(const std::filesystem::path& path);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  FileFormat format() const;
  const std::vector<std::filesystem::path>& files() const;  // weight files, in order
  size_t file_bytes() const;                                // sum of their sizes
  // One per file: its size, and when it was last modified before it was opened, in nanoseconds.
  struct Stamp {
    size_t bytes = 0;
    int64_t modified_ns = 0;
  };
  std::vector<Stamp> stamps() const;
  std::span<const Tensor> tensors() const;          // in the order of the files
  const Tensor* find(std::string_view name) const;  // nullptr if absent
  const std::map<std::string, MetaValue, std::less<>>& metadata() const;  // GGUF; else empty
  // safetensors' __metadata__ and other strings that came with the tensors; null if none.
  const Json& attributes() const;
  // Top-level entries of a .pth that are not tensors, by name (e.g. reranker_layer_idx); else null.
  const Json& extras() const;
  // config.json beside the weights; null if there is none or it cannot be read (a note says why).
  // It may belong to other weights: model/config_json.h tells.
  const Json& config() const;
  const GgmfHeader* ggmf() const;                  // nullptr unless format() is kGgmf
  const std::filesystem::path& directory() const;  // folder that holds the weights
  // Oddities met while reading, one sentence each ("stripped prefix 'model.'"), for `fathom info`.
  const std::vector<std::string>& notes() const;

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom
