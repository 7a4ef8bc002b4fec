// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/dot_kernel.h"

#include "base/error.h"

#ifdef __x86_64__
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/buffer.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/parallel.h"

// Highway 1.0.3 has neither instruction, so these are the compiler's. On a CPU with
// vpdpbusd alone the int8 kernel runs: what AVX-512 BF16 adds has no use for integers.
#define FATHOM_DOT __attribute__((target("avx512f,avx512bw,avx512vnni,avx512bf16")))
// GCC puts an array of sums into registers only if its loops are unrolled early.
#ifdef __clang__
#define FATHOM_UNROLL _Pragma("unroll")
#else
#define FATHOM_UNROLL _Pragma("GCC unroll 8")
#endif

namespace fathom::cpu {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kVectors = kBlockCols / kLanes;
// Sums of 7 rows by 4 vectors leave 4 registers for the left-hand operand and the weights: measured better
// than 6 rows, though some weights are loaded twice.
constexpr size_t kMaxStripRows = 7;
// Units along n_in at a time: the left-hand operands of a strip then stay in the first-level cache beside
// the weights that stream through it.
constexpr size_t kDepth = 512;
constexpr size_t kXStride = kDepth * kUnitBytes + 64;  // no power of two: rows in different sets

struct BF16Dot {
  using Sums = __m512;
  FATHOM_DOT static Sums load(const void* p) { return _mm512_load_ps(p); }
  FATHOM_DOT static Sums zero() { return _mm512_setzero_ps(); }
  FATHOM_DOT static void store(void* p, Sums v) { _mm512_store_ps(p, v); }
  FATHOM_DOT static Sums add(Sums sums, __m512i x, __m512i w) {
    return _mm512_dpbf16_ps(sums, (__m512bh)x, (__m512bh)w);
  }
};

struct Int8Dot {
  using Sums = __m512i;
  FATHOM_DOT static Sums load(const void* p) { return _mm512_load_si512(p); }
  FATHOM_DOT static Sums zero() { return _mm512_setzero_si512(); }
  FATHOM_DOT static void store(void* p, Sums v) { _mm512_store_si512(p, v); }
  // x unsigned, w signed.
  FATHOM_DOT static Sums add(Sums sums, __m512i x, __m512i w) {
    return _mm512_dpbusd_epi32(sums, x, w);
  }
};

// acc (kRows, stride) of one block = x w + what it begins with.
struct Strip {
  const std::byte* x = nullptr;  // (kRows, kXStride bytes)
  const std::byte* w = nullptr;  // (n_unit, kBlockCols) units
  size_t n_unit = 0;
  bool first = true;               // sums begin, else they are in acc
  const int32_t* start = nullptr;  // (kBlockCols) where they begin; nullptr: at 0
  int32_t* acc = nullptr;
  size_t stride = 0;
};

template <class Dot, size_t kRows>
FATHOM_DOT void multiply_strip(const Strip& s) {
  typename Dot::Sums sums[kRows][kVectors];
  FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      sums[r][v] = !s.first             ? Dot::load(s.acc + r * s.stride + v * kLanes)
                   : s.start != nullptr ? Dot::load(s.start + v * kLanes)
                                        : Dot::zero();
    }
  }
  const std::byte* x = s.x;
  const std::byte* w = s.w;
  for (size_t k = 0; k < s.n_unit; ++k, x += kUnitBytes, w += kBlockCols * kUnitBytes) {
    __m512i weights[kVectors];
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      weights[v] = _mm512_load_si512(w + v * kLanes * kUnitBytes);
    }
    FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
      int32_t unit;
      std::memcpy(&unit, x + r * kXStride, sizeof(unit));
      const __m512i left = _mm512_set1_epi32(unit);
      FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
        sums[r][v] = Dot::add(sums[r][v], left, weights[v]);
      }
    }
  }
  FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      Dot::store(s.acc + r * s.stride + v * kLanes, sums[r][v]);
    }
  }
}

template <class Dot, size_t... kRows>
constexpr std::array<void (*)(const Strip&), sizeof...(kRows)> strips(
    std::index_sequence<kRows...>) {
  return {multiply_strip<Dot, kRows + 1>...};
}

// to: (rows, kXStride bytes) = bytes [begin, begin + n) of every row; int8 shifted to unsigned.
// What is missing of the last unit is zero, as the weights are there.
template <class Dot>
FATHOM_DOT void copy_left_sides(const std::byte* x, size_t rows, size_t row_bytes, size_t begin,
                                size_t n_unit, std::byte* to) {
  const size_t n = std::min(n_unit * kUnitBytes, row_bytes - begin);
  constexpr bool kShift = std::is_same_v<Dot, Int8Dot>;
  const __m512i shift = _mm512_set1_epi8(kShift ? -128 : 0);
  for (size_t r = 0; r < rows; ++r, to += kXStride) {
    const std::byte* from = x + r * row_bytes + begin;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
      _mm512_store_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), shift));
    }
    if (i < n) {
      const __mmask64 part = ~uint64_t{0} >> (64 - (n - i));
      _mm512_store_si512(to + i, _mm512_xor_si512(_mm512_maskz_loadu_epi8(part, from + i), shift));
    }
  }
}

template <class Dot>
void multiply(const std::byte* x, size_t rows, size_t n_in, const std::byte* panel, size_t n_out,
              const int32_t* compensation, int32_t* acc) {
  constexpr Compute kCompute = std::is_same_v<Dot, Int8Dot> ? Compute::kInt8 : Compute::kBF16;
  static constexpr auto kStrips = strips<Dot>(std::make_index_sequence<kMaxStripRows>());
  thread_local Buffer<std::byte> left(kMaxStripRows * kXStride);
  const size_t row_bytes = n_in * kUnitBytes / elements_per_unit(kCompute);
  const size_t n_unit = divide_up(row_bytes, kUnitBytes);
  const size_t block_bytes = padded_units(kCompute, n_in) * kBlockCols * kUnitBytes;
  const size_t n_strip = divide_up(rows, kMaxStripRows);
  for (size_t k = 0; k < n_unit; k += kDepth) {
    for (size_t i = 0; i < n_strip; ++i) {
      const size_t begin = rows * i / n_strip, end = rows * (i + 1) / n_strip;
      Strip s;
      s.x = left.data();
      s.n_unit = std::min(kDepth, n_unit - k);
      s.first = k == 0;
      s.stride = n_out;
      copy_left_sides<Dot>(x + begin * row_bytes, end - begin, row_bytes, k * kUnitBytes, s.n_unit,
                           left.data());
      for (size_t c = 0; c < n_out; c += kBlockCols) {
        s.w = panel + c / kBlockCols * block_bytes + k * kBlockCols * kUnitBytes;
        s.start = compensation == nullptr ? nullptr : compensation + c;
        s.acc = acc + begin * n_out + c;
        kStrips[end - begin - 1](s);
      }
    }
  }
}

}  // namespace

bool has_dot_kernel(Compute compute) {
  static const bool vnni = is_allowed(Isa::kAvx512Vnni) && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512vnni");
  static const bool bf16 =
      vnni && is_allowed(Isa::kAvx512Bf16) && __builtin_cpu_supports("avx512bf16");
  return compute == Compute::kInt8 ? vnni : compute == Compute::kBF16 && bf16;
}

void multiply_dot(Compute compute, const void* x, size_t rows, size_t n_in, const void* panel,
                  size_t n_out, const int32_t* compensation, void* acc) {
  FATHOM_ASSERT(has_dot_kernel(compute) && n_out % kBlockCols == 0);
  const auto* from = static_cast<const std::byte*>(x);
  const auto* weights = static_cast<const std::byte*>(panel);
  if (compute == Compute::kInt8) {
    multiply<Int8Dot>(from, rows, n_in, weights, n_out, compensation, static_cast<int32_t*>(acc));
  } else {
    multiply<BF16Dot>(from, rows, n_in, weights, n_out, nullptr, static_cast<int32_t*>(acc));
  }
}

}  // namespace fathom::cpu

#else

namespace fathom::cpu {

bool has_dot_kernel(Compute) { return false; }

void multiply_dot(Compute, const void*, size_t, size_t, const void*, size_t, const int32_t*,
                  void*) {
  FATHOM_ASSERT(!"no dot kernel on this CPU");
}

}  // namespace fathom::cpu

#endif
