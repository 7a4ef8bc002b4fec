// SPDX-License-Identifier: Apache-2.0
// Token shift: every mix of a token with the token before it, in one pass over x. Bound by memory:
// with v6's dynamic weights, five are read for every x.
#include <algorithm>
#include <vector>

#include "base/buffer.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/token_shift.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

// dynamic: (C) or nullptr; next_dynamic: that of the next token, fetched ahead into the second
// cache, since hardware prefetchers do not cross to the next row's pages in time (a quarter of the
// time was waiting for it).
HWY_INLINE void mix_row(const float* x, const float* previous, const float* weight,
                        const float* dynamic, const float* next_dynamic, size_t cols,
                        const OperandRow& out) {
  for_each_vector(cols, [&](auto io, size_t c) HWY_ATTR {
    const VF now = io.load(x + c);
    VF share = io.load(weight + c);
    if (dynamic) {
      __builtin_prefetch(next_dynamic + c, 0, 2);
      share = hn::Add(share, io.load(dynamic + c));
    }
    out.put(io, hn::MulAdd(hn::Sub(io.load(previous + c), now), share, now), c);
  });
  out.finish();
}

// zeros: (C), the row before the first of a fresh sequence.
void token_shift_rows(const TokenShiftArgs& args, const float* zeros, size_t begin, size_t end) {
  const size_t cols = args.x.cols();
  const auto after = std::upper_bound(args.offsets.begin(), args.offsets.end(), begin);
  size_t sequence = static_cast<size_t>(after - args.offsets.begin()) - 1;
  Buffer<float> scratch;
  for (const Mix& mix : args.mixes) {
    if (mix.out.type == Compute::kInt8) scratch.reserve_discard(cols);
  }
  for (size_t t = begin; t < end; ++t) {
    while (t >= args.offsets[sequence + 1]) ++sequence;
    const float* x = args.x.row(t).data();
    const float* previous = zeros;
    if (t > args.offsets[sequence]) {
      previous = args.x.row(t - 1).data();
    } else if (!args.previous.empty() && args.previous[sequence]) {
      previous = args.previous[sequence];
    }
    for (const Mix& mix : args.mixes) {
      const float* dynamic = mix.dynamic ? mix.dynamic + t * cols : nullptr;
      const float* next_dynamic = dynamic && t + 1 < args.x.rows() ? dynamic + cols : dynamic;
      mix_row(x, previous, mix.weight, dynamic, next_dynamic, cols,
              OperandRow(mix.out, t, scratch.data()));
    }
  }
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(token_shift_rows);

void token_shift(ThreadPool& pool, const TokenShiftArgs& args) {
  const size_t rows = args.x.rows(), cols = args.x.cols();
  FATHOM_ASSERT(!args.offsets.empty() && args.offsets.front() == 0 && args.offsets.back() == rows);
  FATHOM_ASSERT(args.previous.empty() || args.previous.size() + 1 == args.offsets.size());
  for (const Mix& mix : args.mixes) {
    FATHOM_ASSERT(mix.weight && mix.out.rows == rows && mix.out.cols == cols);
    FATHOM_ASSERT(mix.out.stride >= cols);
  }
  const Buffer<float> zeros(cols);
  for_rows(pool, rows, (1 + 2 * args.mixes.size()) * cols, [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(token_shift_rows)(args, zeros.data(), begin, end);
  });
}

}  // namespace fathom::cpu
#endif  // HWY_ONCE
