// SPDX-License-Identifier: Apache-2.0
// Matrix products of the CPU backend: y = x wᵀ on weights packed once.
//
// A product is cut into tiles, a chunk of rows by a panel of output channels. A tile's sums go to a
// scratch that stays in the second-level cache and from there, with bias, scales and activation, to
// the output: measured to cost 1 % at n_in = 2048 and 3 % at 768 over oneDNN writing the output
// itself, which it can do for whole rows only. Inner products: in bf16 and int8 our own kernels
// (kernels/cpu/dot_kernel.h), from AVX2 on; in f32 oneDNN where it has an exact implementation
// (kernels/cpu/onednn.h), else our own (kernels/cpu/widening_kernel.h). All give every row the same
// bits for any number of rows, so the cut may, and does, depend on the rows and on the pool.
//
// Scratch is kept per thread: one tile (128 rows by at most 1024 columns of f32), what oneDNN asks
// for (some KiB), and on the calling thread, for int8 output, 128 rows of f32 per 8 threads.
#pragma once

#include <string>

#include "base/thread_pool.h"
#include "kernels/backend.h"

namespace fathom::cpu {

// As Backend::supports: products of this kind, with weights that stay narrow. f32 always.
bool supports(Compute compute);

// As Backend::matmul. w: from pack() of packed_weight.h. x.type is w.compute.
void matmul(ThreadPool& pool, const Operand& x, const PackedWeight& w, const ProductOut& out);

// What computes products here, e.g. "oneDNN 2.6.3, f32 brg:avx512_core, bf16 own kernel, int8
// own kernel".
std::string matmul_description();

}  // namespace fathom::cpu
