// SPDX-License-Identifier: Apache-2.0
// Products of one weight panel with AVX-512's dot instructions (vdpbf16ps, vpdpbusd), on the layout
// of kernels/cpu/onednn.h. oneDNN reaches the same speed from about 128 rows on; this one keeps it
// for a few (docs/performance.md), and wants neither padded rows nor an object per shape. Every row
// is summed by itself, in the order of n_in: the same bits for any number of rows, whole numbers
// exactly. Single-threaded, thread-safe, throws nothing but std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/cpu/onednn.h"

namespace fathom::cpu {

// Whether this CPU has the instruction, and $FATHOM_MAX_ISA leaves it. Never for kF32.
bool has_dot_kernel(Compute compute);

// acc = x w. x: (rows, n_in) without gaps; panel: n_out / kBlockCols packed blocks;
// compensation: (n_out) of kInt8, -128 Σ w, added to every row, else nullptr: left-hand operands are
// shifted to unsigned, as the instruction wants them; acc: (rows, n_out) f32, int32 for kInt8,
// 64-byte aligned, n_out a multiple of kBlockCols.
void multiply_dot(Compute compute, const void* x, size_t rows, size_t n_in, const void* panel,
                  size_t n_out, const int32_t* compensation, void* acc);

}  // namespace fathom::cpu
