// SPDX-License-Identifier: Apache-2.0
#include "formats/tensor.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "formats/byte_reader.h"
#include "formats/dequantise.h"

namespace fathom {
namespace {

float as_f32(float v) { return v; }
float as_f32(double v) { return static_cast<float>(v); }
float as_f32(BF16 v) { return to_f32(v); }
float as_f32(F8E4M3 v) { return to_f32(v); }
float as_f32(F8E5M2 v) { return to_f32(v); }
template <class Integer>
float as_f32(Integer v) {
  return static_cast<float>(v);
}
// Equals to_f32(F16), by selects instead of branches: a loop over it vectorises.
float as_f32(F16 v) {
  const uint32_t exponent_and_mantissa = (v.bits & 0x7fffu) << 13;
  const uint32_t rebias = 112u << 23;  // f32 exponents are biased by 127, f16's by 15
  const uint32_t normal = exponent_and_mantissa + rebias;
  const uint32_t infinity_or_nan = normal + rebias;
  // Zero and subnormals: with one more in the exponent they are 2^-14 + value, exactly.
  const float subnormal = std::bit_cast<float>(normal + (1u << 23)) - 0x1p-14f;
  uint32_t u = exponent_and_mantissa >= (0x1fu << 23) ? infinity_or_nan : normal;
  u = exponent_and_mantissa < (1u << 23) ? std::bit_cast<uint32_t>(subnormal) : u;
  return std::bit_cast<float>(u | (v.bits & 0x8000u) << 16);
}

template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));  // tensors in files are not aligned
  return value;
}

// n elements, `stride` elements apart.
template <class T>
void convert(const std::byte* __restrict in, size_t n, size_t stride, float* __restrict out) {
  if (stride == 1) {  // its own loop: this one vectorises
    for (size_t i = 0; i < n; ++i) out[i] = as_f32(load<T>(in + i * sizeof(T)));
  } else {
    for (size_t i = 0; i < n; ++i) out[i] = as_f32(load<T>(in + i * stride * sizeof(T)));
  }
}

using Convert = void (*)(const std::byte*, size_t, size_t, float*);

Convert converter(StoredType dtype) {
  switch (dtype) {
    case StoredType::kF64:
      return convert<double>;
    case StoredType::kF32:
      return convert<float>;
    case StoredType::kF16:
      return convert<F16>;
    case StoredType::kBF16:
      return convert<BF16>;
    case StoredType::kI64:
      return convert<int64_t>;
    case StoredType::kI32:
      return convert<int32_t>;
    case StoredType::kI16:
      return convert<int16_t>;
    case StoredType::kI8:
      return convert<int8_t>;
    case StoredType::kU8:
    case StoredType::kBool:  // as uint8_t: a file may hold 2
      return convert<uint8_t>;
    case StoredType::kF8E4M3:
      return convert<F8E4M3>;
    case StoredType::kF8E5M2:
      return convert<F8E5M2>;
    default:
      break;
  }
  FATHOM_ASSERT(!"a quantised type has no elements to convert");
}

// Offset, in elements, of the first element of row `row`: all leading dimensions count as rows.
size_t row_offset(const Tensor& tensor, size_t row) {
  size_t offset = 0;
  for (size_t d = tensor.shape.size() - 1; d-- > 0;) {
    offset += row % tensor.shape[d] * tensor.strides[d];
    row /= tensor.shape[d];
  }
  return offset;
}

}  // namespace

void read_f32(const Tensor& tensor, size_t begin, size_t end, std::span<float> out) {
  FATHOM_ASSERT(begin <= end && end <= tensor.n_element() && out.size() == end - begin);
  FATHOM_REQUIRE(tensor.dtype != StoredType::kOther, tensor.name, ": type ", type_name(tensor),
                 " cannot be read");
  if (begin == end) return;
  const auto [name, block_elements, block_bytes] = dtype_info(tensor.dtype);
  const std::byte* bytes = tensor.bytes.data();
  if (is_quantised(tensor.dtype)) {
    FATHOM_ASSERT(begin % tensor.cols() == 0 && end % tensor.cols() == 0);
    dequantise(tensor.dtype, bytes + begin / block_elements * block_bytes, out);
    return;
  }
  const Convert run = converter(tensor.dtype);
  if (tensor.strides.empty()) {
    run(bytes + begin * block_bytes, end - begin, 1, out.data());
    return;
  }
  const size_t cols = tensor.cols(), stride = tensor.strides.back();
  for (size_t at = begin; at < end;) {
    const size_t col = at % cols, n = std::min(cols - col, end - at);
    const size_t offset = row_offset(tensor, at / cols) + col * stride;
    run(bytes + offset * block_bytes, n, stride, out.data() + (at - begin));
    at += n;
  }
}

size_t tensor_bytes(const std::string& name, StoredType dtype, size_t rows, size_t cols) {
  const auto [type_name, block_elements, block_bytes] = dtype_info(dtype);
  FATHOM_REQUIRE(cols % block_elements == 0, name, ": a row of ", cols, " elements is not a whole ",
                 "number of ", type_name, " blocks of ", block_elements);
  return checked_mul(rows, checked_mul(cols / block_elements, block_bytes, name), name);
}

}  // namespace fathom
