// SPDX-License-Identifier: Apache-2.0
#include "model/workspace.h"

#include <algorithm>
#include <utility>

namespace fathom {
namespace {

size_t element_bytes(Compute type) {
  switch (type) {
    case Compute::kF32:
      return 4;
    case Compute::kBF16:
      return 2;
    case Compute::kInt8:
      return 1;
  }
  FATHOM_ASSERT(!"unknown Compute");
}

}  // namespace

Matrix<float> Workspace::matrix(Slot slot, size_t rows, size_t cols) {
  Buffer<std::byte>& buffer = buffers_[slot];
  buffer.reserve_discard(padded_rows(rows) * cols * sizeof(float));
  return {reinterpret_cast<float*>(buffer.data()), rows, cols};
}

Operand Workspace::operand(Slot slot, size_t rows, size_t cols, Compute type,
                           std::span<const uint32_t> compensated) {
  Buffer<std::byte>& buffer = buffers_[slot];
  buffer.reserve_discard(operand_rows(rows, compensated.size()) * cols * element_bytes(type));
  Operand x{.type = type, .data = buffer.data(), .rows = rows, .cols = cols, .stride = cols};
  x.compensated = compensated;
  if (type == Compute::kInt8) {
    scales_[slot].reserve_discard(padded_rows(rows));
    x.scale = scales_[slot].data();
  }
  return x;
}

size_t Workspace::bytes() const {
  size_t n = 0;
  for (const auto& b : buffers_) n += b.size();
  for (const auto& s : scales_) n += s.size() * sizeof(float);
  return n;
}

Operand columns(const Operand& x, size_t begin, size_t end) {
  FATHOM_ASSERT(begin <= end && end <= x.cols);
  Operand part = x;
  part.data = static_cast<std::byte*>(x.data) + begin * element_bytes(x.type);
  part.cols = end - begin;
  return part;
}

State::State(const Config& config)
    : n_layer_(config.n_layer), d_model_(config.d_model), wkv_size_(config.wkv_state_size()) {
  data_.assign(n_layer_ * (2 * d_model_ + wkv_size_), 0);
  if (config.version != Version::kV4) return;
  for (size_t i = 0; i < n_layer_; ++i) {
    // -1e30, not -infinity: the first step subtracts it from itself.
    const auto pp = wkv(i).subspan(2 * config.d_att);
    std::fill(pp.begin(), pp.end(), -1e30f);
  }
}

void transpose_heads(std::vector<float>& state, size_t head_size) {
  const size_t n = head_size;
  for (size_t head = 0; head < state.size(); head += n * n)
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < i; ++j) std::swap(state[head + i * n + j], state[head + j * n + i]);
}

}  // namespace fathom
