// SPDX-License-Identifier: Apache-2.0
// The recurrence of RWKV-5 and 6, per head:
//
//   y[j]    = Σ_i r[i] (u[i] k[i] v[j] + S[i][j])  =  (Σ_i r[i] u[i] k[i]) v[j] + Σ_i r[i] S[i][j]
//   S[i][j] = w[i] S[i][j] + k[i] v[j]                       i: key channel, j: value channel
//
// Columns of S do not depend on each other: they are taken a few vectors at a time, with that strip
// of S in L1 and y in registers over all i. Per vector of S and token: a load, a store, and three
// multiplications, which bound it (Zen 4 at 512 bits: 79 % of the multipliers' peak; keeping tiles
// of S in registers over several tokens was a third slower).
#include <algorithm>
#include <new>

#include "kernels/cpu/ops.h"
#include "kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/wkv6.cc"
#include "hwy/aligned_allocator.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/row-inl.h"
#include "kernels/cpu/state_strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

// Rows of the arguments for one head and token.
struct Wkv6Token {
  const float *r, *k, *v, *w;
  float* y;
};

HWY_INLINE Wkv6Token wkv6_token(const Wkv6Args& args, size_t t, size_t first) {
  const size_t at = t * args.r.cols() + first;
  const size_t decay_at = args.w.rows() == 1 ? first : at;
  return {args.r.data() + at, args.k.data() + at, args.v.data() + at, args.w.data() + decay_at,
          args.y.data() + at};
}

// One token, columns [j, j + width) of a head. strip: (N, kVectors lanes).
template <size_t kVectors>
HWY_INLINE void wkv6_step(const Wkv6Token& at, const float* u, size_t n, size_t j, size_t width,
                          float* strip) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  const VF bonus = hn::SumOfLanes(d, sum_vectors(n, [&](auto io, size_t c) HWY_ATTR {
                                    return hn::Mul(hn::Mul(io.load(at.r + c), io.load(u + c)),
                                                   io.load(at.k + c));
                                  }));
  VF v[kVectors], y[kVectors];
  load_strip_row<kVectors>(at.v + j, width, v);
  for (size_t q = 0; q < kVectors; ++q) y[q] = hn::Mul(bonus, v[q]);
  for (size_t i = 0; i < n; ++i) {
    const VF r = hn::Set(d, at.r[i]), k = hn::Set(d, at.k[i]), w = hn::Set(d, at.w[i]);
    float* row = strip + i * kVectors * lanes;
    for (size_t q = 0; q < kVectors; ++q) {
      const VF s = hn::Load(d, row + q * lanes);
      y[q] = hn::MulAdd(r, s, y[q]);
      hn::Store(hn::MulAdd(w, s, hn::Mul(k, v[q])), d, row + q * lanes);
    }
  }
  store_strip_row<kVectors>(y, width, at.y + j);
}

template <size_t kVectors>
void wkv6_strip(const Wkv6Args& args, size_t sequence, size_t first, size_t j, float* strip) {
  const size_t n = args.head_size;
  const size_t width = std::min(n - j, kVectors * hn::Lanes(F32()));
  const size_t begin = args.offsets[sequence], end = args.offsets[sequence + 1];
  float* state = args.state.empty() ? nullptr : args.state[sequence];
  if (state) state += first * n + j;  // head h starts at row h N = first
  load_strip<kVectors>(state, n, n, width, strip);
  for (size_t t = begin; t < end; ++t) {
    if (t + 2 < end) {
      const Wkv6Token ahead = wkv6_token(args, t + 2, first);
      prefetch_row(ahead.r, n);
      prefetch_row(ahead.k, n);
      prefetch_row(ahead.w, n);
      prefetch_row(ahead.v + j, width);
      prefetch_row(ahead.y + j, width);
    }
    wkv6_step<kVectors>(wkv6_token(args, t, first), args.u.data() + first, n, j, width, strip);
  }
  if (state) store_strip<kVectors>(strip, n, n, width, state);
}

void wkv6_head(const Wkv6Args& args, size_t sequence, size_t head) {
  const auto strip = hwy::AllocateAligned<float>(args.head_size * kStripLanes);
  if (!strip) throw std::bad_alloc();
  for_each_strip(args.head_size, [&](auto vectors, size_t j) HWY_ATTR {
    wkv6_strip<decltype(vectors)::value>(args, sequence, head * args.head_size, j, strip.get());
  });
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(wkv6_head);

void wkv6(ThreadPool& pool, const Wkv6Args& args) {
  const size_t rows = args.r.rows(), cols = args.r.cols(), n = args.head_size;
  const auto same_shape = [&](auto m) { return m.rows() == rows && m.cols() == cols; };
  FATHOM_ASSERT(n > 0 && cols % n == 0 && args.u.size() == cols);
  FATHOM_ASSERT(same_shape(args.k) && same_shape(args.v) && same_shape(args.y));
  FATHOM_ASSERT(args.w.cols() == cols && (args.w.rows() == rows || args.w.rows() == 1));
  FATHOM_ASSERT(!args.offsets.empty() && args.offsets.front() == 0 && args.offsets.back() == rows);
  FATHOM_ASSERT(args.state.empty() || args.state.size() + 1 == args.offsets.size());
  for_sequences(pool, args.offsets, cols / n, n * n / 8 + 8, [&](size_t sequence, size_t head) {
    HWY_DYNAMIC_DISPATCH(wkv6_head)(args, sequence, head);
  });
}

}  // namespace fathom::cpu
#endif  // HWY_ONCE
