// SPDX-License-Identifier: Apache-2.0
// Model files for the tests of the command line, and their arrays read back.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/program.h"
#include "formats/checkpoint.h"
#include "model/byte_model.h"

namespace fathom::test {

// The trained one of rwkv.cpp's tests; "" where shared data is not present.
inline std::string tiny_v6() {
  const auto path = shared_folder() / "data/models/rwkv.cpp-tiny/tiny-rwkv-6v0-1m-FP32.bin";
  return std::filesystem::exists(path) ? path.string() : std::string();
}

struct StoredArray {
  StoredType dtype = StoredType::kF32;
  std::vector<size_t> shape;
  std::vector<float> values;
};
using StoredArrays = std::map<std::string, StoredArray>;

inline StoredArrays read_arrays(const std::string& path) {
  const Checkpoint file = Checkpoint::open(path);
  StoredArrays arrays;
  for (const Tensor& t : file.tensors()) {
    StoredArray& a = arrays[t.name] = {t.dtype, t.shape, std::vector<float>(t.n_element())};
    read_f32(t, 0, t.n_element(), a.values);
  }
  return arrays;
}

// Row `row` of an array seen as rows of its last dimension.
inline std::vector<float> row_of(const StoredArray& a, size_t row) {
  const size_t n = a.shape.back();
  return {a.values.begin() + static_cast<std::ptrdiff_t>(row * n),
          a.values.begin() + static_cast<std::ptrdiff_t>((row + 1) * n)};
}

}  // namespace fathom::test
