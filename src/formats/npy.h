// SPDX-License-Identifier: Apache-2.0
// NumPy .npy files, version 1.0, little-endian and in C order: of float32, and written of float16,
// int8 and uint8, too.
// Source: numpy, lib/format.py.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "base/atomic_file.h"
#include "base/dtype.h"

namespace fathom {

// Writes an array piece by piece into a file whose commit() is the caller's. Throws Error naming the
// path, at once if the disk has no room for the whole array.
class NpyWriter {
 public:
  // The file must be empty, and outlive the writer.
  NpyWriter(AtomicFile& file, std::span<const size_t> shape, StoredType type = StoredType::kF32);

  // Elements from number `first` on, in C order; pieces may come in any order.
  void write(size_t first, std::span<const float> values) { write(first, std::as_bytes(values)); }
  // The same as they are stored.
  void write(size_t first, std::span<const std::byte> values);
  // So many elements are there already, of a file that is gone on with.
  void skip(size_t n) { n_left_ -= n; }
  uint64_t place(size_t element) const { return data_ + element * element_bytes_; }  // in the file
  // As many elements as the array has must have been written.
  void finish();

 private:
  AtomicFile& file_;
  size_t data_ = 0;  // where the elements begin
  size_t element_bytes_;
  size_t n_left_;
};

// The common case: all values at once.
void write_npy(const std::filesystem::path& path, std::span<const size_t> shape,
               std::span<const float> values);

struct NpyArray {
  std::vector<size_t> shape;
  std::vector<float> values;
};
// Reads what NpyWriter writes (and numpy.save of such an array). Throws Error naming the path.
NpyArray read_npy(const std::filesystem::path& path);

}  // namespace fathom
