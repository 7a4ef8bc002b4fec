// SPDX-License-Identifier: Apache-2.0
// bf16 and int8 products of one weight panel, on the layout of kernels/cpu/onednn.h. Wants neither
// padded rows nor an object per shape. Every row is summed by itself, in the order of n_in: the same
// bits for any number of rows, whole numbers exactly. Single-threaded, thread-safe, throws nothing
// but std::bad_alloc. One of three multiplies:
//
//   AVX-512     vdpbf16ps and vpdpbusd. oneDNN reaches the same speed from about 128 rows on; this
//               one keeps it for a few (docs/performance.md)
//   AVX-VNNI    vpdpbusd on vectors of 32 bytes; int8 only, the same bits
//   widening    bf16 weights to f32 and int8 to 16 bits, in registers: AVX2, AVX-512 without dot
//               instructions, and CPUs that are no x86. int8 has the same bits, bf16 other ones
//               than vdpbf16ps, which rounds products in another order
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/backend.h"
#include "kernels/cpu/onednn.h"

namespace fathom::cpu {

enum class DotKernel : uint8_t { kNone, kWidening, kAvxVnni, kAvx512 };
std::string_view name_of(
    DotKernel kernel);  // "none", "own kernel" (AVX-512), "own AVX-VNNI kernel"

// The fastest that this CPU has and $FATHOM_MAX_ISA leaves. kNone for kF32, and below AVX2.
DotKernel dot_kernel(Compute compute);
bool has_dot_kernel(Compute compute);  // another than kNone

// acc = x w. x: (rows, n_in) without gaps; panel: n_out / kBlockCols packed blocks;
// compensation: (n_out) of kInt8, -128 Σ w, added to every row, else nullptr: where left-hand operands
// are shifted to unsigned, as the instruction wants them; acc: (rows, n_out) f32, int32 for kInt8,
// 64-byte aligned, n_out a multiple of kBlockCols.
void multiply_dot(Compute compute, const void* x, size_t rows, size_t n_in, const void* panel,
                  size_t n_out, const int32_t* compensation, void* acc);

}  // namespace fathom::cpu
