// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/avx_vnni_kernel.h"

#include "base/error.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

#include "kernels/cpu/isa.h"

#define FATHOM_DOT __attribute__((target("avx2,avxvnni")))
#include "kernels/cpu/dot_strip-inl.h"

namespace fathom::cpu {
namespace {

struct AvxVnniDot {
  using Sums = __m256i;
  using Vector = __m256i;
  static constexpr size_t kLanes = 8;
  static constexpr size_t kMaxRows = 6;
  static constexpr bool kShift = true;
  // Of 16 registers: 6 by 2 sums leave 4; with one or two rows a whole line at a time.
  static constexpr size_t vectors(size_t rows) { return rows <= 2 ? 4 : 2; }

  FATHOM_DOT static Sums load(const void* p) {
    return _mm256_load_si256(static_cast<const __m256i*>(p));
  }
  FATHOM_DOT static Sums zero() { return _mm256_setzero_si256(); }
  FATHOM_DOT static void store(void* p, Sums v) { _mm256_store_si256(static_cast<__m256i*>(p), v); }
  FATHOM_DOT static Vector load_weights(const void* p) { return load(p); }
  FATHOM_DOT static Vector broadcast(int32_t unit) { return _mm256_set1_epi32(unit); }
  // x unsigned, w signed.
  FATHOM_DOT static Sums add(Sums sums, Vector x, Vector w) {
    return _mm256_dpbusd_avx_epi32(sums, x, w);
  }
  FATHOM_DOT static void copy(const std::byte* from, size_t n, std::byte* to) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
      const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
      store(to + i, _mm256_xor_si256(v, _mm256_set1_epi8(-128)));
    }
    for (; i < n; ++i) to[i] = from[i] ^ std::byte{128};
    for (; i % kUnitBytes != 0; ++i) to[i] = std::byte{128};
  }
};

// __builtin_cpu_supports of clang 14 does not know the name; that of "avx2" asks the system as well.
bool cpu_has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 &&
         (a & (1u << 4)) != 0;
}

}  // namespace

bool has_avx_vnni_kernel() {
  // No CPU of the kind that the limit "avx512" stands for has it, though it is newer.
  static const bool has =
      is_allowed(Isa::kAvxVnni) && max_isa() != Isa::kAvx512 && cpu_has_avx_vnni();
  return has;
}

void multiply_avx_vnni(const void* x, size_t rows, size_t n_in, const void* panel, size_t n_out,
                       const int32_t* compensation, void* acc) {
  FATHOM_ASSERT(has_avx_vnni_kernel() && n_out % kBlockCols == 0);
  PanelOfDots<AvxVnniDot>::multiply(
      {.x = static_cast<const std::byte*>(x),
       .rows = rows,
       .row_bytes = n_in,
       .panel = static_cast<const std::byte*>(panel),
       .block_bytes = padded_units(Compute::kInt8, n_in) * kBlockRowBytes,
       .n_out = n_out,
       .compensation = compensation,
       .acc = static_cast<int32_t*>(acc)});
}

}  // namespace fathom::cpu

#else

namespace fathom::cpu {

bool has_avx_vnni_kernel() { return false; }

void multiply_avx_vnni(const void*, size_t, size_t, const void*, size_t, const int32_t*, void*) {
  FATHOM_ASSERT(!"no AVX-VNNI on this CPU");
}

}  // namespace fathom::cpu

#endif
