// SPDX-License-Identifier: Apache-2.0
// Writes safetensors files that Hugging Face's readers accept.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "formats/write_tensor.h"

namespace fathom {

// Names must differ; dtypes must not be quantised. The header lists the tensors in the given order;
// the data lies in the order of falling element size, because PyTorch wants every tensor aligned.
// `metadata` becomes __metadata__ (transformers asks for {"format": "pt"}).
// The file appears whole or not at all. Throws Error naming the path, at once if the disk has no
// room for it.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});
// The same into a file whose commit() is the caller's.
void write_safetensors(AtomicFile& file, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The same for tensors that grow side by side: the header now, their bytes piece by piece at their
// places. TensorToWrite::write is not called.
class SafetensorsWriter {
 public:
  // The file must be empty, and outlive the writer.
  SafetensorsWriter(AtomicFile& file, std::span<const TensorToWrite> tensors,
                    const std::map<std::string, std::string>& metadata = {});

  // Bytes of tensor number `tensor` from `first` on; pieces may come in any order.
  void write(size_t tensor, size_t first, std::span<const std::byte> bytes);
  // So many bytes are there already, of a file that is gone on with.
  void skip(size_t n) { n_left_ -= n; }
  uint64_t place(size_t tensor, size_t byte) const { return begin_.at(tensor) + byte; }
  // As many bytes as the tensors have must have been written.
  void finish();

 private:
  AtomicFile& file_;
  std::vector<size_t> begin_;  // of every tensor, in the file
  size_t n_left_ = 0;
};

}  // namespace fathom
