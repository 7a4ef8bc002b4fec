// SPDX-License-Identifier: Apache-2.0
// NumPy .npy files, version 1.0, of little-endian float32 in C order.
// Source: numpy, lib/format.py.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "base/atomic_file.h"

namespace fathom {

// Writes an array piece by piece into a file whose commit() is the caller's. Throws Error naming the
// path, at once if the disk has no room for the whole array.
class NpyWriter {
 public:
  // The file must be empty, and outlive the writer.
  NpyWriter(AtomicFile& file, std::span<const size_t> shape);

  // Elements from number `first` on, in C order; pieces may come in any order.
  void write(size_t first, std::span<const float> values);
  // As many elements as the array has must have been written.
  void finish();

 private:
  AtomicFile& file_;
  size_t data_ = 0;  // where the elements begin
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
