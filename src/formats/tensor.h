// SPDX-License-Identifier: Apache-2.0
// Tensor: a named array inside a checkpoint file, as stored. Nothing is converted or copied until
// somebody reads rows of it; it points into the Checkpoint that listed it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace fathom {

struct Tensor {
  std::string name;
  StoredType dtype = StoredType::kF32;
  std::vector<size_t> shape;    // row-major (PyTorch order), last index fastest; {} is a scalar
  std::vector<size_t> strides;  // in elements, same length as shape; empty: contiguous.
                                // Quantised tensors are always contiguous.
  // Starts at element [0, 0, ...]; covers every element reachable.
  std::span<const std::byte> bytes;
  // How the file spells a type that is kOther, for example "U16"; else empty. Such a tensor is
  // listed, never read.
  std::string other_type = {};

  size_t n_element() const {
    size_t n = 1;
    for (size_t d : shape) n *= d;
    return n;
  }
  // The tensor seen as a matrix: all leading dimensions together are the rows.
  size_t cols() const { return shape.empty() ? 1 : shape.back(); }
  size_t rows() const { return cols() == 0 ? 0 : n_element() / cols(); }
};

// The type as people know it: "BF16", "U16".
inline std::string_view type_name(const Tensor& t) {
  return t.dtype == StoredType::kOther && !t.other_type.empty() ? t.other_type : name_of(t.dtype);
}

// Elements [begin, end) of the tensor in row-major order, converted (floats and integers) or
// dequantised to f32. `out` has end - begin elements. For quantised types begin and end must be
// multiples of the row length cols(). Thread-safe. Only out-of-range arguments are bugs; the byte
// counts were checked when the file was parsed. Throws Error, naming tensor and type, if the type is
// kOther.
void read_f32(const Tensor& tensor, size_t begin, size_t end, std::span<float> out);

// Number of bytes of `n_element` elements in rows of `cols`, or an Error that starts with `name` if
// the size overflows or a row is not a whole number of blocks.
size_t tensor_bytes(const std::string& name, StoredType dtype, size_t rows, size_t cols);

}  // namespace fathom
