// SPDX-License-Identifier: Apache-2.0
// Sums and maxima over the tokens of each sequence. Bound by reading x once; the accumulators of a
// block of columns stay in L1.
#include <algorithm>

#include "kernels/cpu/ops.h"
#include "kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/pooling.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

// sum += weight * x over n columns. The product of two f32 is exact in double, so with or without
// FMA the result is the same.
void add_row(const float* x, double weight, size_t n, double* sum) {
  const hn::ScalableTag<double> d64;
  const hn::Rebind<float, decltype(d64)> d32;
  const size_t lanes = hn::Lanes(d64);
  const auto weight_v = hn::Set(d64, weight);
  size_t c = 0;
  for (; c + lanes <= n; c += lanes) {
    const auto v = hn::PromoteTo(d64, hn::LoadU(d32, x + c));
    hn::StoreU(hn::MulAdd(weight_v, v, hn::LoadU(d64, sum + c)), d64, sum + c);
  }
  for (; c < n; ++c) sum[c] += weight * double{x[c]};
}

void max_row(const float* x, size_t n, float* max) {
  for_each_vector(n, [&](auto io, size_t c) HWY_ATTR {
    const VF old = io.load(max + c), v = io.load(x + c);
    io.store(hn::IfThenElse(hn::Lt(old, v), v, old), max + c);
  });
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(add_row);
HWY_EXPORT(max_row);

namespace {

constexpr size_t kColumns = 512;  // of a task

// Calls f(token, sequence, first column, number of columns) for all, in the order of tokens.
template <class F>
void for_columns(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                 const F& f) {
  FATHOM_ASSERT(!offsets.empty() && offsets.front() == 0 && offsets.back() == x.rows());
  const size_t cols = x.cols();
  for_sequences(pool, offsets, divide_up(cols, kColumns), std::min(cols, kColumns),
                [&](size_t sequence, size_t block) {
                  const size_t first = block * kColumns;
                  const size_t n = std::min(kColumns, cols - first);
                  for (size_t t = offsets[sequence]; t < offsets[sequence + 1]; ++t) {
                    f(t, sequence, first, n);
                  }
                });
}

}  // namespace

void add_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
              std::span<const float> weight, Matrix<double> sum) {
  FATHOM_ASSERT(weight.empty() || weight.size() == x.rows());
  FATHOM_ASSERT(sum.rows() + 1 == offsets.size() && sum.cols() == x.cols());
  for_columns(pool, x, offsets, [&](size_t t, size_t sequence, size_t first, size_t n) {
    const double weight_t = weight.empty() ? 1.0 : double{weight[t]};
    HWY_DYNAMIC_DISPATCH(add_row)
    (x.row(t).data() + first, weight_t, n, sum.row(sequence).data() + first);
  });
}

void max_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
              Matrix<float> max) {
  FATHOM_ASSERT(max.rows() + 1 == offsets.size() && max.cols() == x.cols());
  for_columns(pool, x, offsets, [&](size_t t, size_t sequence, size_t first, size_t n) {
    HWY_DYNAMIC_DISPATCH(max_row)(x.row(t).data() + first, n, max.row(sequence).data() + first);
  });
}

}  // namespace fathom::cpu
#endif  // HWY_ONCE
