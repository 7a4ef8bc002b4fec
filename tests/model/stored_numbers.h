// SPDX-License-Identifier: Apache-2.0
// Tensors as other programs store them, byte by byte: integers and 8-bit floats with their scales.
// What they mean is computed here by the formula, apart from the code under test.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/synthetic_layouts.h"

namespace fathom::test {

struct RawTensor {
  std::string name;
  StoredType dtype = StoredType::kF32;
  std::vector<size_t> shape;
  std::string bytes;
};

template <class T>
std::string raw_bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
inline RawTensor raw(const Array& a) {
  return {a.name, StoredType::kF32, a.shape, raw_bytes(a.values)};
}

inline void write_raw(const std::filesystem::path& path, const std::vector<RawTensor>& tensors) {
  std::vector<TensorToWrite> list;
  for (const RawTensor& t : tensors)
    list.push_back({.name = t.name, .dtype = t.dtype, .shape = t.shape, .write = [&t](auto& out) {
                      out.write(t.bytes.data(), static_cast<std::streamsize>(t.bytes.size()));
                    }});
  write_safetensors(path, list);
}

// Sign, 4 bits of exponent with bias 7, 3 of mantissa (OCP E4M3); and 5 with bias 15, 2 (E5M2).
inline double float8_value(uint8_t bits, bool e5m2) {
  const int mantissa_bits = e5m2 ? 2 : 3, bias = e5m2 ? 15 : 7;
  const int exponent = (bits & 0x7f) >> mantissa_bits, mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = bits & 0x80 ? -1 : 1;
  if (!e5m2 && (bits & 0x7f) == 0x7f) return NAN;
  if (e5m2 && exponent == 31) return mantissa ? NAN : sign * HUGE_VAL;
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  return sign *
         (exponent ? std::ldexp(1 + fraction, exponent - bias) : std::ldexp(fraction, 1 - bias));
}

// How one program stores a matrix: the type, the name of the scales, and their form.
struct Scheme {
  const char* name;  // as `fathom info` says it, behind the type
  StoredType dtype;
  const char* scale;  // ".SCB"
  bool per_row;
  double divisor = 1;
  StoredType scale_dtype = StoredType::kF32;  // or kBF16
  bool column = false;                        // scales as (rows, 1)
  bool weight_format = false;
};
inline const Scheme kSchemes[] = {
    {"I8 (bitsandbytes int8)", StoredType::kI8, ".SCB", true, 127, StoredType::kF32, false, true},
    {"I8 (int8 with scales)", StoredType::kI8, ".weight_scale", true, 1, StoredType::kBF16, true},
    {"I8 (int8 with scales)", StoredType::kI8, ".weight_scale", false},
    {"F8_E4M3 (float8 with scales)", StoredType::kF8E4M3, ".weight_scale", true, 1,
     StoredType::kF32, true},
    {"F8_E4M3 (float8 with scales)", StoredType::kF8E4M3, ".weight_scale_inv", false, 1,
     StoredType::kBF16},
    {"F8_E5M2 (float8 with scales)", StoredType::kF8E5M2, ".scale_weight", false},
};

// A matrix of these sizes with random numbers of the scheme, its companions, and what it means.
struct StoredMatrix {
  std::vector<RawTensor> tensors;
  Array meaning;
};
inline StoredMatrix store_random(const Array& like, const Scheme& scheme, Random& random) {
  const size_t rows = like.shape[0], cols = like.shape[1];
  StoredMatrix out;
  std::vector<uint8_t> numbers(rows * cols);
  for (uint8_t& b : numbers) {
    do b = static_cast<uint8_t>(random.next());
    while (scheme.dtype == StoredType::kF8E4M3
               ? (b & 0x7f) == 0x7f
               : scheme.dtype == StoredType::kF8E5M2 && (b & 0x7c) > 0x40);
  }
  const double largest = scheme.dtype == StoredType::kI8       ? 127 / scheme.divisor
                         : scheme.dtype == StoredType::kF8E4M3 ? 448
                                                               : 3.5;
  std::vector<float> scales(scheme.per_row ? rows : 1);
  for (float& s : scales) {
    const double size = 0.5 + static_cast<double>(random.next() % 1000) / 1000;
    s = static_cast<float>(size / std::sqrt(static_cast<double>(cols)) / largest);
    if (scheme.scale_dtype == StoredType::kBF16) s = to_f32(to_bf16(s));
  }
  const std::string module = like.name.substr(0, like.name.size() - std::string(".weight").size());
  out.tensors.push_back({like.name, scheme.dtype, like.shape, raw_bytes(numbers)});
  std::vector<size_t> shape = {scales.size()};
  if (scheme.column) shape.push_back(1);
  std::vector<uint16_t> halves;
  for (float s : scales) halves.push_back(to_bf16(s).bits);
  out.tensors.push_back(
      {module + scheme.scale, scheme.scale_dtype, shape,
       scheme.scale_dtype == StoredType::kBF16 ? raw_bytes(halves) : raw_bytes(scales)});
  if (scheme.weight_format)
    out.tensors.push_back({module + ".weight_format", StoredType::kU8, {}, std::string(1, '\0')});
  out.meaning = like;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const double q = scheme.dtype == StoredType::kI8
                         ? static_cast<int8_t>(numbers[i])
                         : float8_value(numbers[i], scheme.dtype == StoredType::kF8E5M2);
    const double scale = scales[scheme.per_row ? i / cols : 0];
    out.meaning.values[i] = static_cast<float>(q * (scale / scheme.divisor));
  }
  return out;
}

// A model with every matrix of linear layers stored so, and the same model as floats.
struct StoredModel {
  std::vector<RawTensor> tensors;
  Arrays meaning;
};
inline bool is_linear(const Array& a) { return a.shape.size() == 2 && a.name.ends_with(".weight"); }
inline StoredModel store_random(const Arrays& arrays, const Scheme& scheme, uint64_t seed) {
  Random random(seed);
  StoredModel out;
  for (const Array& a : arrays) {
    if (!is_linear(a)) {
      out.tensors.push_back(raw(a));
      out.meaning.push_back(a);
      continue;
    }
    StoredMatrix m = store_random(a, scheme, random);
    for (RawTensor& t : m.tensors) out.tensors.push_back(std::move(t));
    out.meaning.push_back(std::move(m.meaning));
  }
  return out;
}

}  // namespace fathom::test
