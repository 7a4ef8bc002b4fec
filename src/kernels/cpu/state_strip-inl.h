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

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

// Room for the widest row of a strip.
inline constexpr size_t kStripLanes = 4 * kMaxLanes;

// Calls f(number of vectors as a constant, first value channel) for strips that cover a head. Four
// vectors make a strip of 16 KB at head size 64 and 16 lanes; larger heads take two, to stay in L1.
template <class F>
HWY_INLINE void for_each_strip(size_t head_size, const F& f) {
  const size_t lanes = hn::Lanes(F32());
  const size_t most = head_size * 4 * lanes * sizeof(float) <= 16384 ? 4 : 2;
  for (size_t j = 0; j < head_size;) {
    const size_t vectors = std::min(most, (head_size - j + lanes - 1) / lanes);
    if (vectors >= 4) {
      f(std::integral_constant<size_t, 4>(), j);
      j += 4 * lanes;
    } else if (vectors >= 2) {
      f(std::integral_constant<size_t, 2>(), j);
      j += 2 * lanes;
    } else {
      f(std::integral_constant<size_t, 1>(), j);
      j += lanes;
    }
  }
}

// Vectors of `width` floats at p; the lanes beyond are zero.
template <size_t kVectors>
HWY_INLINE void load_strip_row(const float* p, size_t width, VF* v) {
  const size_t lanes = hn::Lanes(F32());
  if (width == kVectors * lanes) {
    for (size_t q = 0; q < kVectors; ++q) v[q] = hn::LoadU(F32(), p + q * lanes);
    return;
  }
  for (size_t q = 0; q < kVectors; ++q) {
    const size_t n = width > q * lanes ? std::min(width - q * lanes, lanes) : 0;
    v[q] = PartVector{n}.load(p + (n ? q * lanes : 0));
  }
}

template <size_t kVectors>
HWY_INLINE void store_strip_row(const VF* v, size_t width, float* p) {
  const size_t lanes = hn::Lanes(F32());
  if (width == kVectors * lanes) {
    for (size_t q = 0; q < kVectors; ++q) hn::StoreU(v[q], F32(), p + q * lanes);
    return;
  }
  for (size_t q = 0; q * lanes < width; ++q) {
    PartVector{std::min(width - q * lanes, lanes)}.store(v[q], p + q * lanes);
  }
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

HWY_INLINE void prefetch_row(const float* p, size_t n) {
  for (size_t c = 0; c < n; c += 16) hwy::Prefetch(p + c);  // 64 bytes: a cache line
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard, once per target
