// SPDX-License-Identifier: Apache-2.0
// The recurrence of RWKV-4, per channel. Its sums are scaled by exp(-pp), so that none overflows:
//
//   q  = max(pp, u + k);      e1 = exp(pp - q);      e2 = exp(u + k - q)
//   y  = (e1 aa + e2 v) / (e1 bb + e2)
//   q  = max(pp + w, k);      e1 = exp(pp + w - q);  e2 = exp(k - q)
//   aa = e1 aa + e2 v;        bb = e1 bb + e2;       pp = q
//
// Of e1 and e2 one is exp(0) = 1: one exponential of -|difference| serves both. pp = q is rounded
// to f32, and where w is small the same rounding repeats for many tokens; so e1 makes up for it.
// Vectorised over channels, the state in registers; several vectors at once, since a token waits
// for the one before.
#include <algorithm>

#include "kernels/cpu/ops.h"
#include "kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/wkv4.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

// e1 and e2 for summands whose logarithms are a and b.
struct Shares {
  VF e1, e2;
  hn::Mask<F32> a_is_small;
};

HWY_INLINE Shares shares_of(VF a, VF b) {
  const F32 d;
  const VF difference = hn::Sub(a, b);
  const VF small = exp_of(d, hn::Neg(hn::Abs(difference)));
  const VF one = hn::Set(d, 1.0f);
  const auto a_is_small = hn::Lt(difference, hn::Zero(d));
  return {hn::IfThenElse(a_is_small, small, one), hn::IfThenElse(a_is_small, one, small),
          a_is_small};
}

struct Wkv4State {
  VF aa, bb, pp;
};

HWY_INLINE VF wkv4_step(VF k, VF v, VF w, VF u, Wkv4State& state) {
  const Shares now = shares_of(state.pp, hn::Add(u, k));
  const VF top = hn::MulAdd(now.e1, state.aa, hn::Mul(now.e2, v));
  const VF bottom = hn::MulAdd(now.e1, state.bb, now.e2);
  const VF decayed = hn::Add(state.pp, w);
  const Shares next = shares_of(decayed, k);
  // What rounding to `decayed` lost, exactly; where q = decayed, e1 is exp(lost) = 1 + lost.
  const VF all_lost = hn::Add(hn::Sub(state.pp, decayed), w);
  const VF lost = hn::IfThenZeroElse(next.a_is_small, all_lost);
  const VF added_a = hn::MulAdd(lost, state.aa, hn::Mul(next.e2, v));
  const VF added_b = hn::MulAdd(lost, state.bb, next.e2);
  state.aa = hn::MulAdd(next.e1, state.aa, added_a);
  state.bb = hn::MulAdd(next.e1, state.bb, added_b);
  state.pp = hn::IfThenElse(next.a_is_small, k, decayed);
  return hn::Div(top, bottom);
}

// kVectors vectors of channels, io apart from each other by whole vectors, starting at channel c.
template <size_t kVectors, class Io>
HWY_INLINE void wkv4_channels(const Wkv4Args& args, size_t sequence, size_t c, Io io) {
  const F32 d;
  const size_t lanes = hn::Lanes(d), cols = args.k.cols();
  float* kept = args.state.empty() ? nullptr : args.state[sequence];
  VF w[kVectors], u[kVectors];
  Wkv4State state[kVectors];
  for (size_t q = 0; q < kVectors; ++q) {
    const size_t at = c + q * lanes;
    w[q] = io.load(args.w.data() + at);
    u[q] = io.load(args.u.data() + at);
    state[q] = {hn::Zero(d), hn::Zero(d), hn::Set(d, -1e30f)};
    if (kept) {
      state[q] = {io.load(kept + at), io.load(kept + cols + at), io.load(kept + 2 * cols + at)};
    }
  }
  for (size_t t = args.offsets[sequence]; t < args.offsets[sequence + 1]; ++t) {
    const size_t row = t * cols + c;
    for (size_t q = 0; q < kVectors; ++q) {
      const size_t at = row + q * lanes;
      const VF k = io.load(args.k.data() + at), v = io.load(args.v.data() + at);
      io.store(wkv4_step(k, v, w[q], u[q], state[q]), args.y.data() + at);
    }
  }
  if (!kept) return;
  for (size_t q = 0; q < kVectors; ++q) {
    const size_t at = c + q * lanes;
    io.store(state[q].aa, kept + at);
    io.store(state[q].bb, kept + cols + at);
    io.store(state[q].pp, kept + 2 * cols + at);
  }
}

// Channels [begin, end) of one sequence.
void wkv4_block(const Wkv4Args& args, size_t sequence, size_t begin, size_t end) {
  const size_t lanes = hn::Lanes(F32());
  size_t c = begin;
  for (; c + 4 * lanes <= end; c += 4 * lanes) {
    wkv4_channels<4>(args, sequence, c, WholeVector());
  }
  for (; c + lanes <= end; c += lanes) wkv4_channels<1>(args, sequence, c, WholeVector());
  if (c < end) wkv4_channels<1>(args, sequence, c, PartVector{end - c});
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(wkv4_block);

namespace {
constexpr size_t kChannels = 64;  // of a task: four vectors of 16
}

void wkv4(ThreadPool& pool, const Wkv4Args& args) {
  const size_t rows = args.k.rows(), cols = args.k.cols();
  FATHOM_ASSERT(args.v.rows() == rows && args.v.cols() == cols);
  FATHOM_ASSERT(args.y.rows() == rows && args.y.cols() == cols);
  FATHOM_ASSERT(args.w.size() == cols && args.u.size() == cols);
  FATHOM_ASSERT(!args.offsets.empty() && args.offsets.front() == 0 && args.offsets.back() == rows);
  FATHOM_ASSERT(args.state.empty() || args.state.size() + 1 == args.offsets.size());
  for_sequences(pool, args.offsets, divide_up(cols, kChannels), 12 * kChannels,
                [&](size_t sequence, size_t block) {
                  const size_t begin = block * kChannels;
                  HWY_DYNAMIC_DISPATCH(wkv4_block)
                  (args, sequence, begin, std::min(cols, begin + kChannels));
                });
}

}  // namespace fathom::cpu
#endif  // HWY_ONCE
