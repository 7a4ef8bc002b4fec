// SPDX-License-Identifier: Apache-2.0
// The operators of the CPU backend other than matrix products: Highway, compiled once per
// instruction set and chosen at run time. Each is the operator of the same name in
// kernels/backend.h, which states shapes and formulas; cpu_backend.cc forwards to them.
//
// Thread-safe apart from the pool, which belongs to one caller at a time. Work is cut into tasks by
// size alone and every row is computed by the same instructions in the same order, so results do
// not depend on the pool, on the neighbours of a row, or on where a sequence was cut. Little work
// runs on the calling thread without waking the pool. Throws only std::bad_alloc.
//
// Operand outputs: kBF16 rounds to nearest even; kInt8 is symmetric per row, scale = max|x| / 127
// and integer = x * (127 / max|x|) rounded to nearest even. A row whose max|x| is below 1e-36 has
// scale 0 and integers 0; a row with an infinity or NaN has scale NaN and integers 0. Rows beyond
// out.rows and columns beyond out.cols are not written.
#pragma once

#include <span>
#include <string>

#include "base/matrix.h"
#include "base/thread_pool.h"
#include "kernels/backend.h"

namespace fathom::cpu {

// elementwise.cc
void convert(ThreadPool& pool, Matrix<const float> x, Activation activation, const Operand& out);
void gate(ThreadPool& pool, Matrix<const float> a, Activation activation, Matrix<const float> b,
          const Operand& out);
void gated_add(ThreadPool& pool, Matrix<const float> r, Matrix<const float> y, Matrix<float> x);
void decay6(ThreadPool& pool, Matrix<float> d);
void row_products(ThreadPool& pool, Matrix<const float> x, Matrix<const float> w, Matrix<float> y);

// norm.cc
void layer_norm(ThreadPool& pool, Matrix<const float> x, std::span<const float> weight,
                std::span<const float> bias, float eps, Matrix<float> y);
void group_norm(ThreadPool& pool, const GroupNormArgs& args);

// token_shift.cc
void token_shift(ThreadPool& pool, const TokenShiftArgs& args);

// wkv4.cc, wkv6.cc, wkv7.cc
void wkv4(ThreadPool& pool, const Wkv4Args& args);
void wkv6(ThreadPool& pool, const Wkv6Args& args);
void prepare7(ThreadPool& pool, const Prepare7Args& args);
void wkv7(ThreadPool& pool, const Wkv7Args& args);

// pooling.cc
void add_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
              std::span<const float> weight, Matrix<double> sum);
void max_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
              Matrix<float> max);

// The instruction set that these run on here, as Highway names it: "AVX3", "AVX2", "SSE4", ...
std::string instruction_set();

}  // namespace fathom::cpu
