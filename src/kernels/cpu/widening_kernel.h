// SPDX-License-Identifier: Apache-2.0
// Products of one weight panel by multiplications that every CPU has: bf16 is widened to f32 and int8
// to 16 bits (to 32 on CPUs that are no x86) in registers, so that weights are read from memory as
// they are packed. Highway, chosen at run time. Every row is summed by itself in the order of n_in,
// in f32 with fused multiply-adds where the CPU has them, in int8 exactly. Single-threaded,
// thread-safe, throws nothing but std::bad_alloc.
#pragma once

#include <cstddef>

#include "kernels/backend.h"

namespace fathom::cpu {

// Whether bf16 and int8 are worth it: from AVX2 on, and on CPUs that are no x86.
bool has_widening_kernel();

// acc = x w. x: (rows, n_in) without gaps; panel: n_out / kBlockCols packed blocks of
// kernels/cpu/onednn.h; acc: (rows, n_out) f32, int32 for kInt8, 64-byte aligned, n_out a multiple
// of kBlockCols.
void multiply_widening(Compute compute, const void* x, size_t rows, size_t n_in, const void* panel,
                       size_t n_out, void* acc);

}  // namespace fathom::cpu
