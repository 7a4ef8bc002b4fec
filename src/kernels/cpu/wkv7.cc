// SPDX-License-Identifier: Apache-2.0
// RWKV-7: what precedes the recurrence, and the recurrence. Per head, i being the value channel and
// j the key channel:
//
//   sa[i]   = -Σ_j S[i][j] kk[j]
//   S[i][j] = S[i][j] w[j] + sa[i] b[j] + v[i] k[j]
//   y[i]    = Σ_j S[i][j] r[j]                              with the updated S
//
// Vectorised over the value channel, so that the sums over j need no sums within a vector: the
// strip of S is held as [key][value], transposed against the caller's. sa of the next token is
// summed while S is updated, so that S is walked once per token; five multiplications per vector of
// S bound it (Zen 4 at 512 bits: 85 % of the multipliers' peak). Summing sa apart for the first
// token of a call takes the same steps in the same order.
#include <algorithm>
#include <cmath>
#include <new>

#include "kernels/cpu/ops.h"
#include "kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/wkv7.cc"
#include "hwy/aligned_allocator.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/row-inl.h"
#include "kernels/cpu/state_strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

HWY_INLINE void prepare7_head(const Prepare7Args& args, size_t t, size_t first) {
  const F32 d;
  const size_t n = args.head_size;
  float* k = args.k.row(t).data() + first;
  float* a = args.a.row(t).data() + first;
  float* kk = args.kk.row(t).data() + first;
  const float* k_k = args.k_k.data() + first;
  const float* k_a = args.k_a.data() + first;
  const float norm = std::sqrt(sum_row(n, [&](auto io, size_t c) HWY_ATTR {
    const VF key = hn::Mul(io.load(k + c), io.load(k_k + c));
    return hn::Mul(key, key);
  }));
  const VF inverse = hn::Set(d, 1.0f / std::max(norm, 1e-12f));
  const VF one = hn::Set(d, 1.0f);
  for_each_vector(n, [&](auto io, size_t c) HWY_ATTR {
    const VF key = io.load(k + c);
    const VF rate = sigmoid_of(d, io.load(a + c));
    const VF direction = hn::Mul(hn::Mul(key, io.load(k_k + c)), inverse);
    const VF growth = hn::MulAdd(hn::Sub(rate, one), io.load(k_a + c), one);
    io.store(direction, kk + c);
    io.store(hn::Mul(direction, rate), a + c);
    io.store(hn::Mul(key, growth), k + c);
  });
}

void prepare7_rows(const Prepare7Args& args, size_t begin, size_t end) {
  const F32 d;
  const size_t cols = args.k.cols();
  for (size_t t = begin; t < end; ++t) {
    float* w = args.w.row(t).data();
    for_each_vector(cols, [&](auto io, size_t c) HWY_ATTR {
      const VF rate = hn::Set(d, -0.606530659712633424f);  // -exp(-1/2)
      io.store(exp_of(d, hn::Mul(rate, sigmoid_of(d, io.load(w + c)))), w + c);
    });
    for (size_t first = 0; first < cols; first += args.head_size) prepare7_head(args, t, first);
    if (args.v_first.rows() == 0) continue;
    float* v = args.v.row(t).data();
    const float* v_first = args.v_first.row(t).data();
    const float* v_gate = args.v_gate.row(t).data();
    for_each_vector(cols, [&](auto io, size_t c) HWY_ATTR {
      const VF own = io.load(v + c);
      const VF share = sigmoid_of(d, io.load(v_gate + c));
      io.store(hn::MulAdd(hn::Sub(io.load(v_first + c), own), share, own), v + c);
    });
  }
}

// Σ_j S[j] kk[j] for the first token of a call. strip: (N, kVectors lanes).
template <size_t kVectors>
HWY_INLINE void removed_value(const float* kk, size_t n, const float* strip, VF* sum) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  for (size_t q = 0; q < kVectors; ++q) sum[q] = hn::Zero(d);
  for (size_t j = 0; j < n; ++j) {
    const VF kk_j = hn::Set(d, kk[j]);
    const float* row = strip + j * kVectors * lanes;
    for (size_t q = 0; q < kVectors; ++q) {
      sum[q] = hn::MulAdd(kk_j, hn::Load(d, row + q * lanes), sum[q]);
    }
  }
}

// One token. removed: in Σ_j S[j] kk[j] of this token; out the same of the next, whose kk is
// next_kk. kk comes positive, so sa b is subtracted.
template <size_t kVectors>
HWY_INLINE void wkv7_step(const Wkv7Args& args, size_t at, const float* next_kk, size_t i,
                          size_t width, VF* removed, float* strip) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  const float* r = args.r.data() + at;
  const float* w = args.w.data() + at;
  const float* k = args.k.data() + at;
  const float* b = args.b.data() + at;
  VF v[kVectors], y[kVectors], sa[kVectors];
  load_strip_row<kVectors>(args.v.data() + at + i, width, v);
  for (size_t q = 0; q < kVectors; ++q) {
    sa[q] = hn::Neg(removed[q]);
    y[q] = removed[q] = hn::Zero(d);
  }
  for (size_t j = 0; j < args.head_size; ++j) {
    const VF r_j = hn::Set(d, r[j]), w_j = hn::Set(d, w[j]), k_j = hn::Set(d, k[j]);
    const VF b_j = hn::Set(d, b[j]), kk_j = hn::Set(d, next_kk[j]);
    float* row = strip + j * kVectors * lanes;
    for (size_t q = 0; q < kVectors; ++q) {
      const VF added = hn::MulAdd(sa[q], b_j, hn::Mul(v[q], k_j));
      const VF s = hn::MulAdd(hn::Load(d, row + q * lanes), w_j, added);
      hn::Store(s, d, row + q * lanes);
      y[q] = hn::MulAdd(r_j, s, y[q]);
      removed[q] = hn::MulAdd(kk_j, s, removed[q]);
    }
  }
  store_strip_row<kVectors>(y, width, args.y.data() + at + i);
}

template <size_t kVectors>
void wkv7_strip(const Wkv7Args& args, size_t sequence, size_t first, size_t i, float* strip) {
  const size_t n = args.head_size, cols = args.r.cols();
  const size_t width = std::min(n - i, kVectors * hn::Lanes(F32()));
  const size_t begin = args.offsets[sequence], end = args.offsets[sequence + 1];
  if (begin == end) return;
  float* state = args.state.empty() ? nullptr : args.state[sequence];
  if (state) state += (first + i) * n;
  load_strip_transposed<kVectors>(state, n, n, width, strip);
  VF removed[kVectors];
  removed_value<kVectors>(args.kk.data() + begin * cols + first, n, strip, removed);
  for (size_t t = begin; t < end; ++t) {
    const size_t at = t * cols + first;
    // After the last token, its own kk again: the sum is not used.
    const size_t next = t + 1 < end ? at + cols : at;
    if (t + 2 < end) {
      for (const auto& m : {args.r, args.w, args.k, args.v, args.b}) {
        prefetch_row(m.data() + at + 2 * cols, n);
      }
      prefetch_row(args.kk.data() + at + 2 * cols, n);
      prefetch_row(args.y.data() + at + 2 * cols + i, width);
    }
    wkv7_step<kVectors>(args, at, args.kk.data() + next, i, width, removed, strip);
  }
  if (state) store_strip_transposed<kVectors>(strip, n, n, width, state);
}

void wkv7_head(const Wkv7Args& args, size_t sequence, size_t head) {
  const auto strip = hwy::AllocateAligned<float>(args.head_size * kStripLanes);
  if (!strip) throw std::bad_alloc();
  for_each_strip(args.head_size, [&](auto vectors, size_t i) HWY_ATTR {
    wkv7_strip<decltype(vectors)::value>(args, sequence, head * args.head_size, i, strip.get());
  });
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(prepare7_rows);
HWY_EXPORT(wkv7_head);

void prepare7(ThreadPool& pool, const Prepare7Args& args) {
  const size_t rows = args.k.rows(), cols = args.k.cols();
  const auto same_shape = [&](Matrix<const float> m) {
    return m.rows() == rows && m.cols() == cols;
  };
  FATHOM_ASSERT(args.head_size > 0 && cols % args.head_size == 0);
  FATHOM_ASSERT(same_shape(args.w) && same_shape(args.a) && same_shape(args.kk));
  FATHOM_ASSERT(args.k_k.size() == cols && args.k_a.size() == cols);
  FATHOM_ASSERT(args.v_first.rows() == args.v_gate.rows());
  FATHOM_ASSERT(args.v_first.rows() == 0 ||
                (same_shape(args.v) && same_shape(args.v_first) && same_shape(args.v_gate)));
  for_rows(pool, rows, 8 * cols, [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(prepare7_rows)(args, begin, end);
  });
}

void wkv7(ThreadPool& pool, const Wkv7Args& args) {
  const size_t rows = args.r.rows(), cols = args.r.cols(), n = args.head_size;
  FATHOM_ASSERT(n > 0 && cols % n == 0 && args.y.rows() == rows && args.y.cols() == cols);
  for (const auto& m : {args.w, args.k, args.v, args.kk, args.b}) {
    FATHOM_ASSERT(m.rows() == rows && m.cols() == cols);
  }
  FATHOM_ASSERT(!args.offsets.empty() && args.offsets.front() == 0 && args.offsets.back() == rows);
  FATHOM_ASSERT(args.state.empty() || args.state.size() + 1 == args.offsets.size());
  for_sequences(pool, args.offsets, cols / n, n * n / 5 + 8, [&](size_t sequence, size_t head) {
    HWY_DYNAMIC_DISPATCH(wkv7_head)(args, sequence, head);
  });
}

}  // namespace fathom::cpu
#endif  // HWY_ONCE
