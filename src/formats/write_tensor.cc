// SPDX-License-Identifier: Apache-2.0
#include "formats/write_tensor.h"

#include <utility>

#include "base/error.h"
#include "formats/checks.h"

namespace fathom {
namespace {

TensorToWrite from_memory(std::string name, StoredType dtype, std::vector<size_t> shape,
                          std::span<const std::byte> bytes) {
  FATHOM_ASSERT(shape_bytes(name, dtype, shape) == bytes.size());
  return {.name = std::move(name),
          .dtype = dtype,
          .shape = std::move(shape),
          .write = [bytes](std::ostream& out) { write_bytes(out, bytes); }};
}

}  // namespace

TensorToWrite tensor_to_write(std::string name, std::vector<size_t> shape,
                              std::span<const float> values) {
  return from_memory(std::move(name), StoredType::kF32, std::move(shape), std::as_bytes(values));
}

TensorToWrite tensor_to_write(std::string name, std::vector<size_t> shape,
                              std::span<const int32_t> values) {
  return from_memory(std::move(name), StoredType::kI32, std::move(shape), std::as_bytes(values));
}

void write_bytes(std::ostream& out, std::span<const std::byte> bytes) {
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

void write_text(std::ostream& out, std::string_view text) {
  write_bytes(out, std::as_bytes(std::span(text)));
}

void write_data(std::ostream& out, const TensorToWrite& tensor) {
  const auto begin = out.tellp();
  tensor.write(out);
  if (!out) return;
  const auto n_bytes = static_cast<size_t>(out.tellp() - begin);
  FATHOM_ASSERT(n_bytes == shape_bytes(tensor.name, tensor.dtype, tensor.shape));
}

}  // namespace fathom
