// SPDX-License-Identifier: Apache-2.0
// StoredType: how a number, or a block of numbers, is stored; and the 16-bit floats.
//
// One enum for all file formats. The quantised types store blocks of 32 or 256
// consecutive elements of a row (layouts: docs/layouts.md, as ggml writes them).
// Float8: OCP 8-bit floating point specification 1.0; E4M3 has no infinity ("fn").
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace fathom {

enum class StoredType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ8_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kQ8_K,
  kIQ4_NL,
  kIQ4_XS,
  kF8E4M3,
  kF8E5M2,
  kOther,  // a type that cannot be read; its spelling and its bytes stand with the tensor
};

struct StoredTypeInfo {
  std::string_view name;
  size_t block_elements;  // consecutive elements of a row that are stored together
  size_t block_bytes;
};

inline StoredTypeInfo dtype_info(StoredType t) {
  switch (t) {
    case StoredType::kF64:
      return {"F64", 1, 8};
    case StoredType::kF32:
      return {"F32", 1, 4};
    case StoredType::kF16:
      return {"F16", 1, 2};
    case StoredType::kBF16:
      return {"BF16", 1, 2};
    case StoredType::kI64:
      return {"I64", 1, 8};
    case StoredType::kI32:
      return {"I32", 1, 4};
    case StoredType::kI16:
      return {"I16", 1, 2};
    case StoredType::kI8:
      return {"I8", 1, 1};
    case StoredType::kU8:
      return {"U8", 1, 1};
    case StoredType::kBool:
      return {"BOOL", 1, 1};
    case StoredType::kQ4_0:
      return {"Q4_0", 32, 18};
    case StoredType::kQ4_1:
      return {"Q4_1", 32, 20};
    case StoredType::kQ5_0:
      return {"Q5_0", 32, 22};
    case StoredType::kQ5_1:
      return {"Q5_1", 32, 24};
    case StoredType::kQ8_0:
      return {"Q8_0", 32, 34};
    case StoredType::kQ8_1:
      return {"Q8_1", 32, 36};
    case StoredType::kQ2_K:
      return {"Q2_K", 256, 84};
    case StoredType::kQ3_K:
      return {"Q3_K", 256, 110};
    case StoredType::kQ4_K:
      return {"Q4_K", 256, 144};
    case StoredType::kQ5_K:
      return {"Q5_K", 256, 176};
    case StoredType::kQ6_K:
      return {"Q6_K", 256, 210};
    case StoredType::kQ8_K:
      return {"Q8_K", 256, 292};
    case StoredType::kIQ4_NL:
      return {"IQ4_NL", 32, 18};
    case StoredType::kIQ4_XS:
      return {"IQ4_XS", 256, 136};
    case StoredType::kF8E4M3:
      return {"F8_E4M3", 1, 1};
    case StoredType::kF8E5M2:
      return {"F8_E5M2", 1, 1};
    case StoredType::kOther:
      return {"another type", 1, 0};
  }
  FATHOM_ASSERT(!"unknown StoredType");
}

inline std::string_view name_of(StoredType t) { return dtype_info(t).name; }
inline bool is_quantised(StoredType t) { return dtype_info(t).block_elements > 1; }
inline bool is_float(StoredType t) {
  return t == StoredType::kF64 || t == StoredType::kF32 || t == StoredType::kF16 ||
         t == StoredType::kBF16 || t == StoredType::kF8E4M3 || t == StoredType::kF8E5M2;
}

struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
struct F8E4M3 {
  uint8_t bits;
};
struct F8E5M2 {
  uint8_t bits;
};

inline float to_f32(float v) { return v; }
inline float to_f32(BF16 v) { return std::bit_cast<float>(uint32_t{v.bits} << 16); }
inline float to_f32(F16 v) {
  const uint32_t sign = uint32_t{v.bits & 0x8000u} << 16;
  const uint32_t exponent = (v.bits >> 10) & 0x1f;
  const uint32_t mantissa = v.bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // zero or subnormal
  return sign ? -magnitude : magnitude;
}

inline float to_f32(F8E5M2 v) { return to_f32(F16{static_cast<uint16_t>(v.bits << 8)}); }
inline float to_f32(F8E4M3 v) {
  const uint32_t sign = uint32_t{v.bits & 0x80u} << 24;
  const uint32_t exponent = (v.bits >> 3) & 0xf, mantissa = v.bits & 7;
  if ((v.bits & 0x7f) == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000u);  // the one NaN
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 120) << 23) | (mantissa << 20));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-9f;  // zero or subnormal
  return sign ? -magnitude : magnitude;
}

// Round to nearest, ties to even; NaN stays NaN.
inline BF16 to_bf16(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((u >> 16) | 0x40)};
  return {static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1)) >> 16)};
}
inline F16 to_f16(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v);
  const uint16_t sign = static_cast<uint16_t>((u >> 16) & 0x8000u);
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // rounds to inf
  if (magnitude < 0x38800000u) {  // zero or subnormal: the FPU rounds at the right bit
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

}  // namespace fathom
