// SPDX-License-Identifier: Apache-2.0
// The memory of a forward pass: activations (Workspace, one for each worker) and the recurrent
// state of a sequence that is fed in pieces (State).
#pragma once

#include <array>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "kernels/backend.h"
#include "model/config.h"

namespace fathom {

// Activations of one packed batch at a time. Buffers grow to the largest batch seen and are kept.
// One thread at a time (its pool's threads work for that one).
class Workspace {
 public:
  explicit Workspace(size_t n_thread) : pool_(n_thread) {}

  ThreadPool& pool() { return pool_; }

  // Called between the pieces of work that is cut into pieces, each at most one budget of tokens: a
  // server runs short texts there, on another workspace, while a long one is under way. What it
  // throws ends the work. Empty: nothing is called.
  void set_between(std::function<void()> between) { between_ = std::move(between); }
  void between() const {
    if (between_) between_();
  }

  // Names for the buffers that blocks use; their contents last until the same name is taken again.
  enum Slot : size_t {
    kNormed,  // ln1 or ln2 output
    kR,
    kK,
    kV,
    kG,
    kW,
    kA,
    kKK,
    kVGate,
    kY,  // (T, A) f32
    kDynamic0,
    kDynamicLast = kDynamic0 + 4,  // (T, C) f32
    kMixed0,
    kMixedLast = kMixed0 + 5,  // (T, C) left-hand operands
    kHidden,
    kHidden2,
    kGated,
    kVFirst,
    kResidual,
    kPooled,  // (T, C) f32, of the encoder
    kGathered,
    kGatheredVFirst,  // (T, C), (T, A) f32, of LiveRows
    kSlotCount
  };

  // (rows, cols) f32 with room for padded rows; contents arbitrary but the first time zero.
  Matrix<float> matrix(Slot slot, size_t rows, size_t cols);
  // (rows, cols) left-hand operand of a product of this type.
  Operand operand(Slot slot, size_t rows, size_t cols, Compute type,
                  std::span<const uint32_t> compensated = {});

  size_t bytes() const;  // held

 private:
  ThreadPool pool_;
  std::array<Buffer<std::byte>, kSlotCount> buffers_;
  std::array<Buffer<float>, kSlotCount> scales_;
  std::function<void()> between_;
};

// Columns [begin, end) of a left-hand operand.
Operand columns(const Operand& x, size_t begin, size_t end);

// Recurrent state of one sequence in all blocks. All zeros, but pp = -1e30 in v4: the empty past.
class State {
 public:
  explicit State(const Config& config);

  std::span<float> att_shift(size_t layer) { return part(layer, 0, d_model_); }
  std::span<float> ffn_shift(size_t layer) { return part(layer, d_model_, d_model_); }
  // v4: (3, A) aa, bb, pp. v5, v6: (H, N key, N value). v7: (H, N value, N key).
  std::span<float> wkv(size_t layer) { return part(layer, 2 * d_model_, wkv_size_); }
  size_t n_layer() const { return n_layer_; }

 private:
  std::span<float> part(size_t layer, size_t begin, size_t size) {
    return std::span(data_).subspan(layer * (2 * d_model_ + wkv_size_) + begin, size);
  }
  size_t n_layer_, d_model_, wkv_size_;
  std::vector<float> data_;  // (n_layer, 2 C + wkv)
};

// (H, key, value) and (H, value, key) of a block's WKV state, either into the other, in place.
void transpose_heads(std::vector<float>& state, size_t head_size);

}  // namespace fathom
