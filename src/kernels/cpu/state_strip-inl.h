// SPDX-License-Identifier: Apache-2.0
// The WKV state of a head, cut into strips of value channels: (N key, up to 4 vectors of value),
// copied out of the caller's state so that rows are aligned and padded with zeros to whole vectors.
#if defined(FATHOM_KERNELS_CPU_STATE_STRIP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FATHOM_KERNELS_CPU_STATE_STRIP_INL_H_
#undef FATHOM_KERNELS_CPU_STATE_STRIP_INL_H_
#else
#define FATHOM_KERNELS_CPU_STATE_STRIP_INL_H_
#endif

#include <algorithm>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

// Room for the widest row of a strip.
inline constexpr size_t kStripLanes = 4 * kMaxLanes;

// Calls f(number of vectors as a constant, first value channel) for strips that cover a head. Only
// a strip of one vector may be a part of one. Four vectors make a strip of 16 KB at head size 64
// and 16 lanes; larger heads take two, to stay in L1.
template <class F>
HWY_INLINE void for_each_strip(size_t head_size, const F& f) {
  const size_t lanes = hn::Lanes(F32());
  const bool wide = head_size * 4 * lanes * sizeof(float) <= 16384;
  size_t j = 0;
  for (; wide && j + 4 * lanes <= head_size; j += 4 * lanes) {
    f(std::integral_constant<size_t, 4>(), j);
  }
  for (; j + 2 * lanes <= head_size; j += 2 * lanes) f(std::integral_constant<size_t, 2>(), j);
  for (; j < head_size; j += lanes) f(std::integral_constant<size_t, 1>(), j);
}

// A row of a strip that covers `width` value channels; the lanes beyond are zero.
template <size_t kVectors>
HWY_INLINE void load_strip_row(const float* p, size_t width, VF* v) {
  const size_t lanes = hn::Lanes(F32());
  if (kVectors == 1 && width < lanes) {
    v[0] = PartVector{width}.load(p);
    return;
  }
  for (size_t q = 0; q < kVectors; ++q) v[q] = hn::LoadU(F32(), p + q * lanes);
}

template <size_t kVectors>
HWY_INLINE void store_strip_row(const VF* v, size_t width, float* p) {
  const size_t lanes = hn::Lanes(F32());
  if (kVectors == 1 && width < lanes) return PartVector{width}.store(v[0], p);
  for (size_t q = 0; q < kVectors; ++q) hn::StoreU(v[q], F32(), p + q * lanes);
}

// state: `rows` rows of `width` floats, `stride` apart; nullptr: zeros. strip: (rows, kVectors
// lanes).
template <size_t kVectors>
HWY_INLINE void load_strip(const float* state, size_t stride, size_t rows, size_t width,
                           float* strip) {
  const size_t lanes = hn::Lanes(F32());
  for (size_t i = 0; i < rows; ++i) {
    float* row = strip + i * kVectors * lanes;
    if (state) {
      std::copy_n(state + i * stride, width, row);
      std::fill(row + width, row + kVectors * lanes, 0.0f);
    } else {
      std::fill_n(row, kVectors * lanes, 0.0f);
    }
  }
}

template <size_t kVectors>
HWY_INLINE void store_strip(const float* strip, size_t stride, size_t rows, size_t width,
                            float* state) {
  const size_t lanes = hn::Lanes(F32());
  for (size_t i = 0; i < rows; ++i)
    std::copy_n(strip + i * kVectors * lanes, width, state + i * stride);
}

// The same for a state stored [value][key] (v7): value channel j of the strip is row j of `state`.
template <size_t kVectors>
HWY_INLINE void load_strip_transposed(const float* state, size_t stride, size_t rows, size_t width,
                                      float* strip) {
  load_strip<kVectors>(nullptr, 0, rows, 0, strip);
  if (!state) return;
  const size_t lanes = hn::Lanes(F32());
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < width; ++j) strip[i * kVectors * lanes + j] = state[j * stride + i];
  }
}

template <size_t kVectors>
HWY_INLINE void store_strip_transposed(const float* strip, size_t stride, size_t rows, size_t width,
                                       float* state) {
  const size_t lanes = hn::Lanes(F32());
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < width; ++j) state[j * stride + i] = strip[i * kVectors * lanes + j];
  }
}

// Heads of following tokens lie a whole row apart, which no hardware prefetcher follows. Into the
// second cache: in the first, rows of one head compete for the same few places.
HWY_INLINE void prefetch_row(const float* p, size_t n) {
  for (size_t c = 0; c < n; c += 16) __builtin_prefetch(p + c, 0, 2);  // 64 bytes: a cache line
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard, once per target
