// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/dot_kernel.h"

#include "base/error.h"
#include "kernels/cpu/avx_vnni_kernel.h"
#include "kernels/cpu/widening_kernel.h"

#ifdef __x86_64__
#include <immintrin.h>

#include "kernels/cpu/isa.h"

// Highway 1.0.3 has neither instruction, so these are the compiler's. On a CPU with
// vpdpbusd alone the int8 kernel runs: what AVX-512 BF16 adds has no use for integers.
#define FATHOM_DOT __attribute__((target("avx512f,avx512bw,avx512vnni,avx512bf16")))
#include "kernels/cpu/dot_strip-inl.h"

namespace fathom::cpu {
namespace {

// What bf16 and int8 share.
struct Dot512 {
  using Vector = __m512i;
  static constexpr size_t kLanes = 16;
  // Sums of 7 rows by 4 vectors leave 4 registers for the left side and the weights: measured better
  // than 6 rows, though some weights are loaded twice.
  static constexpr size_t kMaxRows = 7;
  static constexpr size_t vectors(size_t) { return kBlockCols / kLanes; }
  FATHOM_DOT static Vector load_weights(const void* p) { return _mm512_load_si512(p); }
  FATHOM_DOT static Vector broadcast(int32_t unit) { return _mm512_set1_epi32(unit); }
  FATHOM_DOT static void copy_shifted(const std::byte* from, size_t n, Vector shift,
                                      std::byte* to) {
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
      _mm512_store_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), shift));
    }
    if (i < n) {
      const __mmask64 part = ~uint64_t{0} >> (64 - (n - i));
      _mm512_store_si512(to + i, _mm512_xor_si512(_mm512_maskz_loadu_epi8(part, from + i), shift));
    }
  }
};

struct BF16Dot : Dot512 {
  using Sums = __m512;
  static constexpr bool kShift = false;
  FATHOM_DOT static Sums load(const void* p) { return _mm512_load_ps(p); }
  FATHOM_DOT static Sums zero() { return _mm512_setzero_ps(); }
  FATHOM_DOT static void store(void* p, Sums v) { _mm512_store_ps(p, v); }
  FATHOM_DOT static Sums add(Sums sums, __m512i x, __m512i w) {
    return _mm512_dpbf16_ps(sums, (__m512bh)x, (__m512bh)w);
  }
  FATHOM_DOT static void copy(const std::byte* from, size_t n, std::byte* to) {
    copy_shifted(from, n, _mm512_setzero_si512(), to);
  }
};

struct Int8Dot : Dot512 {
  using Sums = __m512i;
  static constexpr bool kShift = true;
  FATHOM_DOT static Sums load(const void* p) { return _mm512_load_si512(p); }
  FATHOM_DOT static Sums zero() { return _mm512_setzero_si512(); }
  FATHOM_DOT static void store(void* p, Sums v) { _mm512_store_si512(p, v); }
  // x unsigned, w signed.
  FATHOM_DOT static Sums add(Sums sums, __m512i x, __m512i w) {
    return _mm512_dpbusd_epi32(sums, x, w);
  }
  FATHOM_DOT static void copy(const std::byte* from, size_t n, std::byte* to) {
    copy_shifted(from, n, _mm512_set1_epi8(-128), to);
  }
};

bool has_avx512_dot(Compute compute) {
  static const bool vnni = is_allowed(Isa::kAvx512Vnni) && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512vnni");
  static const bool bf16 =
      vnni && is_allowed(Isa::kAvx512Bf16) && __builtin_cpu_supports("avx512bf16");
  return compute == Compute::kInt8 ? vnni : compute == Compute::kBF16 && bf16;
}

void multiply_avx512(Compute compute, const void* x, size_t rows, size_t n_in, const void* panel,
                     size_t n_out, const int32_t* compensation, void* acc) {
  const auto multiply = [&]<class Dot>(Dot) {
    PanelOfDots<Dot>::multiply({.x = static_cast<const std::byte*>(x),
                                .rows = rows,
                                .row_bytes = n_in * kUnitBytes / elements_per_unit(compute),
                                .panel = static_cast<const std::byte*>(panel),
                                .block_bytes = padded_units(compute, n_in) * kBlockRowBytes,
                                .n_out = n_out,
                                .compensation = compute == Compute::kInt8 ? compensation : nullptr,
                                .acc = static_cast<int32_t*>(acc)});
  };
  if (compute == Compute::kInt8) return multiply(Int8Dot());
  multiply(BF16Dot());
}

}  // namespace
}  // namespace fathom::cpu

#else

namespace fathom::cpu {
namespace {

bool has_avx512_dot(Compute) { return false; }
void multiply_avx512(Compute, const void*, size_t, size_t, const void*, size_t, const int32_t*,
                     void*) {}

}  // namespace
}  // namespace fathom::cpu

#endif

namespace fathom::cpu {

DotKernel dot_kernel(Compute compute) {
  if (compute == Compute::kF32) return DotKernel::kNone;
  if (has_avx512_dot(compute)) return DotKernel::kAvx512;
  if (compute == Compute::kInt8 && has_avx_vnni_kernel()) return DotKernel::kAvxVnni;
  return has_widening_kernel() ? DotKernel::kWidening : DotKernel::kNone;
}

std::string_view name_of(DotKernel kernel) {
  switch (kernel) {
    case DotKernel::kNone:
      return "none";
    case DotKernel::kWidening:
      return "own widening kernel";
    case DotKernel::kAvxVnni:
      return "own AVX-VNNI kernel";
    case DotKernel::kAvx512:
      return "own kernel";
  }
  FATHOM_ASSERT(!"unknown DotKernel");
}

bool has_dot_kernel(Compute compute) { return dot_kernel(compute) != DotKernel::kNone; }

void multiply_dot(Compute compute, const void* x, size_t rows, size_t n_in, const void* panel,
                  size_t n_out, const int32_t* compensation, void* acc) {
  FATHOM_ASSERT(n_out % kBlockCols == 0);
  switch (dot_kernel(compute)) {
    case DotKernel::kAvx512:
      return multiply_avx512(compute, x, rows, n_in, panel, n_out, compensation, acc);
    case DotKernel::kAvxVnni:
      return multiply_avx_vnni(x, rows, n_in, panel, n_out, compensation, acc);
    case DotKernel::kWidening:
      return multiply_widening(compute, x, rows, n_in, panel, n_out, acc);
    case DotKernel::kNone:
      FATHOM_ASSERT(!"no products of this kind on this CPU");
  }
}

}  // namespace fathom::cpu
