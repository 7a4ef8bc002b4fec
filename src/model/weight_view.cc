// SPDX-License-Identifier: Apache-2.0
#include "model/weight_view.h"

#include <span>
#include <utility>

#include "base/error.h"

namespace fathom {
namespace {

Tensor with_strides(Tensor t) {
  if (!t.strides.empty()) return t;
  t.strides.assign(t.shape.size(), 1);
  for (size_t i = t.shape.size(); i-- > 1;) t.strides[i - 1] = t.strides[i] * t.shape[i];
  return t;
}

// The tensor without dimensions of size 1 in front, as (rows, cols) with explicit strides.
Tensor as_matrix(const Tensor& stored) {
  Tensor t = with_strides(stored);
  for (size_t i = 0; i < t.shape.size() && t.shape.size() > 1;) {
    if (t.shape[i] == 1) {
      t.shape.erase(t.shape.begin() + static_cast<std::ptrdiff_t>(i));
      t.strides.erase(t.strides.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  while (t.shape.size() < 2) {
    t.shape.insert(t.shape.begin(), 1);
    t.strides.insert(t.strides.begin(), t.shape.back() * t.strides.back());
  }
  return t;
}

// Quantised tensors are stored in whole rows and cannot be seen any other way.
void require_plain(const Tensor& t, std::string_view what) {
  FATHOM_REQUIRE(!is_quantised(t.dtype), t.name, ": ", name_of(t.dtype), " data cannot be ", what,
                 "; expected a float type");
}

void advance(Tensor& t, size_t elements) {
  const size_t bytes = elements * dtype_info(t.dtype).block_bytes;
  FATHOM_ASSERT(bytes <= t.bytes.size());
  t.bytes = t.bytes.subspan(bytes);
}

void transpose(Tensor& t) {
  require_plain(t, "transposed");
  std::swap(t.shape[0], t.shape[1]);
  std::swap(t.strides[0], t.strides[1]);
}

// Index `i` of the leading dimension.
Tensor slice(const Tensor& stored, size_t i, size_t expected) {
  Tensor t = stored;
  FATHOM_REQUIRE(t.shape.size() >= 2 && t.shape[0] == expected, t.name, ": expected ", expected,
                 " fused parts, got shape of ", t.shape.size(), " dimensions with first ",
                 t.shape.empty() ? 0 : t.shape[0]);
  if (t.strides.empty()) {
    const size_t bytes = t.bytes.size() / expected;
    t.bytes = t.bytes.subspan(i * bytes, bytes);
  } else {
    advance(t, i * t.strides[0]);
    t.strides.erase(t.strides.begin());
  }
  t.shape.erase(t.shape.begin());
  return t;
}

// Rows [begin, begin + count) with axis 0, columns with 1.
Tensor range_of(Tensor matrix, size_t axis, size_t begin, size_t count) {
  require_plain(matrix, "regrouped");
  advance(matrix, begin * matrix.strides[axis]);
  matrix.shape[axis] = count;
  return matrix;
}

// Rows or columns of one of five equal groups.
Tensor group_of(const Tensor& matrix, size_t axis, size_t group) {
  FATHOM_REQUIRE(matrix.shape[axis] % kLoraGroups == 0, matrix.name, ": expected a multiple of ",
                 kLoraGroups, axis == 0 ? " rows" : " columns", ", got ", matrix.shape[axis]);
  const size_t rank = matrix.shape[axis] / kLoraGroups;
  return range_of(matrix, axis, group * rank, rank);
}

// Contiguous views lose their strides again, so that read_f32 takes its fast path.
Tensor tidy(Tensor t) {
  if (t.strides.size() == 2 && t.strides[1] == 1 && t.strides[0] == t.shape[1]) t.strides.clear();
  if (t.strides.size() == 2 && t.shape[0] == 1 && t.strides[1] == 1) t.strides.clear();
  return t;
}

// As (rows, cols) in the memory of `t`: time_faaaa (H, N), time_decay (H, N, 1), ... are read as
// vectors; matrices have 2 dimensions.
Tensor flattened(Tensor t, const Tensor& stored) {
  FATHOM_REQUIRE(t.shape.size() == 2 || t.strides.empty() || stored.strides.empty(), t.name,
                 ": a strided tensor of ", stored.shape.size(), " dimensions is not understood");
  if (t.shape.size() > 2) {
    t.shape = {t.rows(), t.cols()};
    t.strides.clear();
  }
  return tidy(std::move(t));
}

// as_matrix() would squeeze a LoRA of rank 1: the last two dimensions stay as they are.
Tensor linear_or_lora(const Tensor& stored, const Spelling& how, bool loras_out_in) {
  Tensor t =
      with_strides(how.view == View::kLoraGroup ? slice(stored, how.index, kLoraGroups) : stored);
  FATHOM_REQUIRE(t.shape.size() == 2, t.name, ": expected a matrix, got ", t.shape.size(),
                 " dimensions");
  if (!loras_out_in && how.view != View::kLinear) transpose(t);
  return t;
}

std::vector<Tensor> parts_of(const Tensor& stored, const Spelling& how,
                             const ViewOptions& options) {
  switch (how.view) {
    case View::kSame:
      return {as_matrix(stored)};
    case View::kSlice:
      return {as_matrix(slice(stored, how.index, options.n_fused))};
    case View::kLoraGroup:
    case View::kLinear:
    case View::kLora:
      return {linear_or_lora(stored, how, options.loras_out_in)};
    case View::kFlaRows: {
      const Tensor t = as_matrix(stored);
      std::vector<Tensor> parts;
      for (size_t group : {1, 2, 3, 0, 4}) parts.push_back(group_of(t, 0, group));
      return parts;
    }
    case View::kFlaCols:
      return {group_of(as_matrix(stored), 1, how.index)};
  }
  FATHOM_ASSERT(!"unknown View");
}

}  // namespace

std::vector<Tensor> take_view(const Tensor& stored, const Spelling& how,
                              const ViewOptions& options) {
  std::vector<Tensor> parts = parts_of(stored, how, options);
  for (Tensor& t : parts) t = flattened(std::move(t), stored);
  return parts;
}

Tensor zero_row(std::string name, size_t n) {
  static constexpr float kZero = 0;
  return {.name = std::move(name),
          .dtype = DType::kF32,
          .shape = {1, n},
          .strides = {0, 0},
          .bytes = std::as_bytes(std::span(&kZero, 1))};
}

Tensor scales_of_view(const Tensor& stored, const Tensor& part, View view, const Tensor& scales) {
  const bool whole = part.shape == stored.shape;
  const bool rows_in_turn = stored.strides.empty() || stored.strides[1] == 1;
  const bool grouped = view == View::kFlaRows || view == View::kFlaCols;
  FATHOM_REQUIRE(rows_in_turn && stored.cols() > 0 && (whole || grouped), stored.name, ": ",
                 type_name(stored), " with a scale for each row cannot be transposed or regrouped");
  const size_t row_bytes = stored.strides.empty() ? stored.cols() : stored.strides[0];
  const size_t begin = static_cast<size_t>(part.bytes.data() - stored.bytes.data()) / row_bytes;
  Tensor t = as_matrix(scales);  // (1, n_row)
  const size_t stride = t.strides[1];
  FATHOM_REQUIRE(begin + part.shape[0] <= t.shape[1], stored.name, ": more rows than scales");
  advance(t, begin * stride);
  t.shape = {part.shape[0]};
  t.strides = stride == 1 ? std::vector<size_t>() : std::vector<size_t>{stride};
  return t;
}

}  // namespace fathom
