// SPDX-License-Identifier: Apache-2.0
// What stands around the inner products of a tile (some rows by one weight panel): packing the
// weights, and what is done to the sums. Highway, chosen at run time. Single-threaded, thread-safe, throws nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"

namespace fathom::cpu {

// One block of kernels/cpu/onednn.h from rows of weights that are already in the type of the
// product. rows: (n_row, stride) units, n_row <= kBlockCols, the last unit of a row filled up with
// zeros; block: (n_unit_padded, kBlockCols) units, all written.
void pack_block(const void* rows, size_t n_row, size_t stride, size_t n_unit, size_t n_unit_padded,
                void* block);

// Sums of a tile and where they go: to = activation(acc (* scales) + bias), or to += acc (*
// scales).
struct Tile {
  const void* acc = nullptr;  // (rows, acc_stride), 64-byte aligned: f32, or int32 with scales
  size_t rows = 0, cols = 0;
  size_t acc_stride = 0;             // a multiple of 16, >= cols
  const float* row_scale = nullptr;  // (rows); nullptr: acc is f32
  const float* col_scale = nullptr;  // (acc_stride), with row_scale
  const float* bias = nullptr;       // (cols) or nullptr
  Activation activation = Activation::kNone;
  bool accumulate = false;          // then no activation, and `to` is f32
  void* to = nullptr;               // (rows, stride): the tile's first element
  Compute to_type = Compute::kF32;  // kF32 or kBF16
  size_t stride = 0;
};
void finish_tile(const Tile& tile);

}  // namespace fathom::cpu
