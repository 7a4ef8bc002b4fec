// SPDX-License-Identifier: Apache-2.0
// How the numbers of vectors are stored: as they are, rounded to 16 bits, or as sentence-transformers'
// quantize_embeddings() makes them:
//
//   int8     truncated (x - low) / ((high - low) / 255) - 128, low and high of each number of a vector
//            over other texts; what is outside becomes -128 or 127, where theirs wraps around
//   ubinary  bits of x > 0, the first number in the highest bit of the first byte
//
// Source: sentence_transformers/util/quantization.py, version 5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace fathom {

enum class OutputDtype : unsigned char { kF32, kF16, kBF16, kInt8, kUbinary };
OutputDtype parse_output_dtype(std::string_view name);  // "f32", ...; InvalidOption `output_dtype`
std::string_view name_of(OutputDtype dtype);

// The lowest and the highest of each number, (n_vector, dim).
struct NumberRanges {
  std::vector<float> low = {}, high = {};

  // vectors: (n_vector, n, dim) of n more texts.
  void add(std::span<const float> vectors, size_t n_vector, size_t n);
  bool empty() const { return low.empty(); }
};

struct OutputNumbers {
  OutputDtype dtype = OutputDtype::kF32;
  NumberRanges ranges = {};  // of int8

  StoredType stored() const;           // as files call it
  size_t width(size_t dim) const;      // numbers of a stored vector: bytes of ubinary
  size_t row_bytes(size_t dim) const;  // of a stored vector
  bool holds_nonfinite() const { return dtype < OutputDtype::kInt8; }
  // Throws InvalidOption `output_dtype`: bits of vectors that do not fill bytes.
  void check(size_t dim) const;
  // Appends a vector, (dim), of number `vector` as it is stored.
  void store(std::span<const float> row, size_t vector, std::vector<std::byte>& out) const;
  // The same as numbers, (width()), for files of text.
  std::vector<float> rounded(std::span<const float> row, size_t vector) const;
};

}  // namespace fathom
