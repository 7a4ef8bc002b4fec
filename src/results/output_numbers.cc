// SPDX-License-Identifier: Apache-2.0
#include "results/output_numbers.h"

#include <algorithm>
#include <cmath>

#include "base/invalid_option.h"

namespace fathom {
namespace {

constexpr std::string_view kDtypes[] = {"f32", "f16", "bf16", "int8", "ubinary"};

// In f32, as numpy computes it. A number that was always the same has no step.
int8_t quantised(float x, float low, float high) {
  const float step = (high - low) / 255.0F;
  const float scaled = (x - low) / step - 128.0F;
  if (!std::isfinite(scaled)) return step > 0 && scaled > 0 ? int8_t{127} : int8_t{0};
  return static_cast<int8_t>(std::clamp(scaled, -128.0F, 127.0F));
}

uint8_t bits_of(std::span<const float> eight) {
  unsigned byte = 0;
  for (float x : eight) byte = 2 * byte + (x > 0);
  return static_cast<uint8_t>(byte);
}

template <class T>
void append(T value, std::vector<std::byte>& out) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

OutputDtype parse_output_dtype(std::string_view name) {
  const auto at = std::ranges::find(kDtypes, name);
  if (at == std::end(kDtypes))
    throw InvalidOption("output_dtype", "f32, f16, bf16, int8 or ubinary", concat("'", name, "'"));
  return static_cast<OutputDtype>(at - std::begin(kDtypes));
}

std::string_view name_of(OutputDtype dtype) { return kDtypes[static_cast<size_t>(dtype)]; }

void NumberRanges::add(std::span<const float> vectors, size_t n_vector, size_t n) {
  if (n == 0) return;
  const size_t dim = vectors.size() / (n_vector * n);
  for (size_t v = 0; v < n_vector; ++v)
    for (size_t i = 0; i < n; ++i) {
      const std::span<const float> row = vectors.subspan((v * n + i) * dim, dim);
      if (low.size() < (v + 1) * dim) {
        low.insert(low.end(), row.begin(), row.end());
        high.insert(high.end(), row.begin(), row.end());
      }
      for (size_t k = 0; k < dim; ++k) {
        low[v * dim + k] = std::min(low[v * dim + k], row[k]);
        high[v * dim + k] = std::max(high[v * dim + k], row[k]);
      }
    }
}

StoredType OutputNumbers::stored() const {
  constexpr StoredType kStored[] = {StoredType::kF32, StoredType::kF16, StoredType::kBF16,
                                    StoredType::kI8, StoredType::kU8};
  return kStored[static_cast<size_t>(dtype)];
}

size_t OutputNumbers::width(size_t dim) const {
  return dtype == OutputDtype::kUbinary ? dim / 8 : dim;
}

size_t OutputNumbers::row_bytes(size_t dim) const {
  return width(dim) * dtype_info(stored()).block_bytes;
}

void OutputNumbers::check(size_t dim) const {
  if (dtype == OutputDtype::kUbinary && dim % 8 != 0)
    throw InvalidOption("output_dtype", "vectors of a multiple of 8 numbers for ubinary",
                        concat(dim));
}

void OutputNumbers::store(std::span<const float> row, size_t vector,
                          std::vector<std::byte>& out) const {
  const size_t at = vector * row.size();
  switch (dtype) {
    case OutputDtype::kF32: {
      const auto bytes = std::as_bytes(row);
      out.insert(out.end(), bytes.begin(), bytes.end());
      return;
    }
    case OutputDtype::kF16:
      for (float x : row) append(to_f16(x).bits, out);
      return;
    case OutputDtype::kBF16:
      for (float x : row) append(to_bf16(x).bits, out);
      return;
    case OutputDtype::kInt8:
      FATHOM_ASSERT(at + row.size() <= ranges.low.size());
      for (size_t k = 0; k < row.size(); ++k)
        append(quantised(row[k], ranges.low[at + k], ranges.high[at + k]), out);
      return;
    case OutputDtype::kUbinary:
      for (size_t k = 0; k < row.size(); k += 8) append(bits_of(row.subspan(k, 8)), out);
      return;
  }
  FATHOM_ASSERT(!"unknown OutputDtype");
}

std::vector<float> OutputNumbers::rounded(std::span<const float> row, size_t vector) const {
  std::vector<float> numbers(row.begin(), row.end());
  const size_t at = vector * row.size();
  for (size_t k = 0; k < row.size(); ++k) {
    if (dtype == OutputDtype::kF16) numbers[k] = to_f32(to_f16(row[k]));
    if (dtype == OutputDtype::kBF16) numbers[k] = to_f32(to_bf16(row[k]));
    if (dtype == OutputDtype::kInt8)
      numbers[k] = quantised(row[k], ranges.low.at(at + k), ranges.high.at(at + k));
    if (dtype == OutputDtype::kUbinary && k % 8 == 0) numbers[k / 8] = bits_of(row.subspan(k, 8));
  }
  numbers.resize(width(row.size()));
  return numbers;
}

}  // namespace fathom
