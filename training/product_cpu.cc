// SPDX-License-Identifier: Apache-2.0
// Matrix products of float32 by the bfloat16 tiles of a CPU (AMX; product_cpu.py compiles and calls
// this). Every number is split in two bfloat16, x = high + low with an error below 2^-17 |x|, and
//
//   a b = high(a) high(b) + high(a) low(b) + low(a) high(b)
//
// with float32 sums: an error of about 2^-16 |a| |b| a product, where one bfloat16 has 2^-8.

#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AMX_BF16__
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr int kRows = 16;    // of a tile: rows of a, pairs of b
constexpr int kDepth = 32;   // numbers that a tile holds of a row
constexpr int kTile = 1024;  // bytes

// ARCH_REQ_XCOMP_PERM for the tiles' data: Linux lets a process use them on demand only.
bool permitted() {
  static const bool given = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  return given;
}

struct alignas(64) TileShape {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {};
  uint8_t rows[16] = {};
  TileShape() {
    for (int i = 0; i < 8; ++i) bytes[i] = 64, rows[i] = kRows;
  }
};

// Which way a matrix lies: element (i, k) is at i * stride + k where k runs, else at k * stride + i.
// i counts what the product keeps, k what it sums over.
struct Matrix {
  const float* data;
  int64_t stride;
  bool k_runs;
};

struct Halves {
  __m512i high, low;  // 32 bfloat16 each: of second in the upper 256 bits, of first below
};

Halves halves(__m512 first, __m512 second) {
  const __m512i high = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  const auto wide = [](__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
  };
  const __m512 a = _mm512_sub_ps(first, wide(_mm512_castsi512_si256(high)));
  const __m512 b = _mm512_sub_ps(second, wide(_mm512_extracti64x4_epi64(high, 1)));
  return {high, (__m512i)_mm512_cvtne2ps_pbh(b, a)};
}

// 16 x 16 of 32 bits, in place.
void transpose(__m512i* row) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (int step = 1; step < 16; step *= 2) {
    const __m512i by = _mm512_set1_epi32(step);
    const __mmask16 odd = _mm512_test_epi32_mask(lane, by);
    // Of two rows, numbers 16 and up are the second's.
    const __m512i second = _mm512_add_epi32(lane, _mm512_set1_epi32(16));
    const __m512i lower = _mm512_mask_sub_epi32(lane, odd, second, by);
    const __m512i upper = _mm512_mask_mov_epi32(_mm512_add_epi32(lane, by), odd, second);
    for (int i = 0; i < 16; ++i) {
      if (i & step) continue;
      const __m512i a = row[i], b = row[i + step];
      row[i] = _mm512_permutex2var_epi32(a, lower, b);
      row[i + step] = _mm512_permutex2var_epi32(a, upper, b);
    }
  }
}

__mmask16 first(int64_t n) { return n >= 16 ? 0xffff : n <= 0 ? 0 : (1u << n) - 1; }

// Reads rows in the order of memory: the processor then fetches ahead, tiles alone are too short.
void touch(const float* rows, int64_t count, int64_t width, int64_t stride) {
  __m512 all = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < width; j += 16) {
      all = _mm512_or_ps(all, _mm512_maskz_loadu_ps(first(width - j), rows + i * stride + j));
    }
  }
  asm volatile("" ::"v"(all));
}

// One tile, 16 of i by 32 of k: as rows of i (pairs false) or as pairs of k by i (pairs true).
void pack_tile(const Matrix& m, int64_t i, int64_t n, int64_t k, int64_t K, bool pairs, char* high,
               char* low) {
  __m512i of_high[16], of_low[16];
  for (int j = 0; j < 16; ++j) {
    __m512 a = _mm512_setzero_ps(), b = a;
    if (m.k_runs) {
      if (i + j < n) {
        const float* from = m.data + (i + j) * m.stride + k;
        a = _mm512_maskz_loadu_ps(first(K - k), from);
        b = _mm512_maskz_loadu_ps(first(K - k - 16), from + 16);
      }
    } else {
      const float* from = m.data + (k + 2 * j) * m.stride + i;
      if (k + 2 * j < K) a = _mm512_maskz_loadu_ps(first(n - i), from);
      if (k + 2 * j + 1 < K) b = _mm512_maskz_loadu_ps(first(n - i), from + m.stride);
    }
    const Halves both = halves(a, b);
    of_high[j] = both.high;
    of_low[j] = both.low;
    if (!m.k_runs) {  // to pairs: first[0] second[0] first[1] ...
      alignas(64) static constexpr uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                         21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                         11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
      const __m512i by = _mm512_load_si512(order);
      of_high[j] = _mm512_permutexvar_epi16(by, of_high[j]);
      of_low[j] = _mm512_permutexvar_epi16(by, of_low[j]);
    }
  }
  if (m.k_runs == pairs) {
    transpose(of_high);
    transpose(of_low);
  }
  for (int j = 0; j < 16; ++j) {
    _mm512_store_si512(high + 64 * j, of_high[j]);
    _mm512_store_si512(low + 64 * j, of_low[j]);
  }
}

// Tiles of a whole matrix: [strip of 16 i][step of 32 k][high, low].
char* pack(const Matrix& m, int64_t n, int64_t K, bool pairs, std::vector<char>& memory) {
  const int64_t strips = 2 * ((n + 31) / 32), steps = (K + kDepth - 1) / kDepth;
  const size_t bytes = strips * steps * 2 * kTile + 64;
  if (memory.size() < bytes) memory.resize(bytes);
  char* at = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  char* to = at;
  touch(m.data, m.k_runs ? n : K, m.k_runs ? K : n, m.stride);
  const auto one = [&](int64_t strip, int64_t step) {
    const int64_t i = strip * kRows, k = step * kDepth;
    char* to = at + (strip * steps + step) * 2 * kTile;
    pack_tile(m, i, n, k, K, pairs, to, to + kTile);
  };
  // In the order of memory.
  if (m.k_runs) {
    for (int64_t strip = 0; strip < strips; ++strip) {
      for (int64_t step = 0; step < steps; ++step) one(strip, step);
    }
  } else {
    for (int64_t step = 0; step < steps; ++step) {
      for (int64_t strip = 0; strip < strips; ++strip) one(strip, step);
    }
  }
  return at;
}

// 32 x 32 of the product: strips a, a + 1 by strips b, b + 1. of: bytes of a strip.
void product_tiles(const char* a, const char* b, int64_t of, int64_t steps, float* out) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step, a += 2 * kTile, b += 2 * kTile) {
    _tile_loadd(4, a + kTile, 64);  // low(a) high(b)
    _tile_loadd(5, a + of + kTile, 64);
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + of, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(4, a, 64);  // high(a) high(b)
    _tile_loadd(5, a + of, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(6, b + kTile, 64);  // high(a) low(b)
    _tile_loadd(7, b + of + kTile, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, out, 128);
  _tile_stored(1, out + 16, 128);
  _tile_stored(2, out + 16 * 32, 128);
  _tile_stored(3, out + 16 * 32 + 16, 128);
}

}  // namespace

extern "C" {

int product_available() { return permitted(); }

// c (M, N) = a (M, K) b (K, N), plus `plus` if it is not null. *_k_runs: whether the inner index runs
// through memory, of a as (M, K) and of b as (N, K); strides in numbers, from row to row.
void product(int64_t M, int64_t N, int64_t K, int64_t a_stride, int64_t a_k_runs, int64_t b_stride,
             int64_t b_k_runs, int64_t plus_stride, int64_t c_stride, const float* a,
             const float* b, const float* plus, float* c) {
  static thread_local std::vector<char> of_a, of_b;
  const int64_t steps = (K + kDepth - 1) / kDepth, strip = steps * 2 * kTile;
  const char* left = pack({a, a_stride, a_k_runs != 0}, M, K, false, of_a);
  const char* right = pack({b, b_stride, b_k_runs != 0}, N, K, true, of_b);
  const TileShape shape;
  _tile_loadconfig(&shape);
  alignas(64) float block[32 * 32];
  for (int64_t m = 0; m < M; m += 32) {
    for (int64_t n = 0; n < N; n += 32) {
      product_tiles(left + m / 16 * strip, right + n / 16 * strip, strip, steps, block);
      const int64_t rows = M - m < 32 ? M - m : 32;
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = n; j < N && j < n + 32; j += 16) {
          __m512 x = _mm512_load_ps(block + 32 * i + (j - n));
          if (plus) x += _mm512_maskz_loadu_ps(first(N - j), plus + (m + i) * plus_stride + j);
          _mm512_mask_storeu_ps(c + (m + i) * c_stride + j, first(N - j), x);
        }
      }
    }
  }
  _tile_release();
}
}

#else

extern "C" {
int product_available() { return 0; }
void product(...) {}
}

#endif
