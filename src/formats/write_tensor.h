// SPDX-License-Identifier: Apache-2.0
// A tensor to be written: its data is asked for when its turn comes, so a model is never held
// whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace fathom {

struct TensorToWrite {
  std::string name;
  StoredType dtype = StoredType::kF32;
  std::vector<size_t> shape;  // PyTorch order
  // Writes exactly the tensor's bytes, little-endian, row-major.
  std::function<void(std::ostream&)> write;
};

// F32 from memory, which has to stay until the file is written.
TensorToWrite tensor_to_write(std::string name, std::vector<size_t> shape,
                              std::span<const float> values);
// I32 from memory.
TensorToWrite tensor_to_write(std::string name, std::vector<size_t> shape,
                              std::span<const int32_t> values);

// Writes the bytes of anything plain, as it lies in memory.
void write_bytes(std::ostream& out, std::span<const std::byte> bytes);
void write_text(std::ostream& out, std::string_view text);

// Calls tensor.write and checks that it wrote as much as dtype and shape need; a stream that has
// failed, and does not throw, is left as it is.
void write_data(std::ostream& out, const TensorToWrite& tensor);

}  // namespace fathom
