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

// Writes an array piece by piece; the file appears at commit(), whole or not at all.
class NpyWriter {
 public:
  // Throws Error naming the path.
  NpyWriter(const std::filesystem::path& path, std::span<const size_t> shape);

  // The next elements in C order.
  void write(std::span<const float> values);
  // All elements must have been written. Throws Error if the disk did not take them.
  void commit();

 private:
  AtomicFile file_;
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
