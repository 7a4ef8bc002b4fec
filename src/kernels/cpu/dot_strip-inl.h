// SPDX-License-Identifier: Apache-2.0
// The product of a panel by an instruction that multiplies a unit of 4 bytes and adds it to a sum
// of 32 bits: what dot_kernel.cc (AVX-512) and avx_vnni_kernel.cc (AVX-VNNI) share. Each includes
// it once, inside an anonymous namespace of its own, after it has defined
//
//   FATHOM_DOT     the target attribute of every function that uses the instruction
//
// A Dot has: Sums, Vector (types); kLanes (units of a Vector); kMaxRows (of a strip); kShift (left
// sides are int8 and become unsigned); vectors(rows) (of a strip); load, zero, store (of Sums);
// load_weights, broadcast (of a Vector); add(sums, x, w); copy (a row of left sides).
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/buffer.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/unroll.h"

namespace fathom::cpu {
namespace {

constexpr size_t kLine = 64;  // bytes of a line of a cache
constexpr size_t kBlockRowBytes = kBlockCols * kUnitBytes;
constexpr size_t kBlockLines = kBlockRowBytes / kLine;  // of a unit of every column

// acc (kRows, stride) of one block = x w + what it begins with.
struct Strip {
  const std::byte* x = nullptr;  // (kRows, x_stride bytes)
  size_t x_stride = 0;
  const std::byte* w = nullptr;  // (n_unit, kBlockCols) units
  size_t n_unit = 0;
  bool first = true;               // sums begin, else they are in acc
  const int32_t* start = nullptr;  // (kBlockCols) where they begin; nullptr: at 0
  int32_t* acc = nullptr;
  size_t stride = 0;
  // Weights that are wanted soon, brought nearer by this many lines with every unit.
  const std::byte* ahead = nullptr;
  size_t ahead_lines = 0;
};

// Columns [column, column + kVectors * kLanes) of a strip.
template <class Dot, size_t kRows, size_t kVectors>
FATHOM_DOT void multiply_columns(const Strip& s, size_t column) {
  constexpr size_t kLanes = Dot::kLanes;
  typename Dot::Sums sums[kRows][kVectors];
  FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      sums[r][v] = !s.first             ? Dot::load(s.acc + r * s.stride + column + v * kLanes)
                   : s.start != nullptr ? Dot::load(s.start + column + v * kLanes)
                                        : Dot::zero();
    }
  }
  const std::byte* x = s.x;
  const std::byte* w = s.w + column * kUnitBytes;
  const std::byte* ahead = s.ahead;
  for (size_t k = 0; k < s.n_unit; ++k, x += kUnitBytes, w += kBlockRowBytes) {
    for (size_t i = 0; i < s.ahead_lines; ++i, ahead += kLine) __builtin_prefetch(ahead, 0, 2);
    typename Dot::Vector weights[kVectors];
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      weights[v] = Dot::load_weights(w + v * kLanes * kUnitBytes);
    }
    FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
      int32_t unit;
      std::memcpy(&unit, x + r * s.x_stride, sizeof(unit));
      const typename Dot::Vector left = Dot::broadcast(unit);
      FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
        sums[r][v] = Dot::add(sums[r][v], left, weights[v]);
      }
    }
  }
  FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      Dot::store(s.acc + r * s.stride + column + v * kLanes, sums[r][v]);
    }
  }
}

template <class Dot, size_t kRows>
void multiply_strip(Strip s) {
  constexpr size_t kVectors = Dot::vectors(kRows);
  for (size_t column = 0; column < kBlockCols; column += kVectors * Dot::kLanes) {
    multiply_columns<Dot, kRows, kVectors>(s, column);
    s.ahead_lines = 0;  // they are on their way
  }
}

template <class Dot, size_t... kRows>
constexpr std::array<void (*)(Strip), sizeof...(kRows)> strips(std::index_sequence<kRows...>) {
  return {multiply_strip<Dot, kRows + 1>...};
}

// A panel's product, cut in two ways. Every row's sums are in the order of n_in in both.
template <class Dot>
class PanelOfDots {
 public:
  struct Args {
    const std::byte* x = nullptr;  // (rows, row_bytes)
    size_t rows = 0, row_bytes = 0;
    const std::byte* panel = nullptr;
    size_t block_bytes = 0, n_out = 0;
    const int32_t* compensation = nullptr;
    int32_t* acc = nullptr;
  };

  static void multiply(const Args& a) {
    constexpr size_t kFewRows = 64, kFewBytes = size_t{1} << 19;
    if (a.rows <= kFewRows && a.rows * a.row_bytes <= kFewBytes) {
      multiply_few(a);
    } else {
      multiply_many(a);
    }
  }

 private:
  static constexpr auto kStrips = strips<Dot>(std::make_index_sequence<Dot::kMaxRows>());

  // Units along n_in at a time. Many rows: the left sides of a strip then stay in the first-level
  // cache beside the weights that stream through it. Few: a piece of weights that all strips read
  // from the second-level cache while the next piece arrives there.
  static constexpr size_t kDepth = 512, kFewDepth = 128;
  // No power of two: rows in different sets of the cache.
  static constexpr size_t row_room(size_t n_unit) {
    return round_up(n_unit * kUnitBytes, kLine) + kLine;
  }

  // to: (rows, stride bytes) = bytes [begin, begin + n_unit units) of every row; what is missing of
  // the last unit is zero, as the weights are there.
  static void copy(const Args& a, size_t first_row, size_t rows, size_t begin, size_t n_unit,
                   size_t stride, std::byte* to) {
    const size_t n = std::min(n_unit * kUnitBytes, a.row_bytes - begin);
    for (size_t r = 0; r < rows; ++r) {
      Dot::copy(a.x + (first_row + r) * a.row_bytes + begin, n, to + r * stride);
    }
  }

  // Weights from begin to end are read once, in their order: bound by memory as much as by
  // arithmetic, so both have to go on at the same time. Hardware alone does not see to that: while
  // a second strip computes on what a cache holds it fetches nothing.
  static void multiply_few(const Args& a) {
    thread_local Buffer<std::byte> left;
    const size_t n_unit = divide_up(a.row_bytes, kUnitBytes);
    Strip s;
    s.stride = a.n_out;
    const std::byte* x = a.x;
    s.x_stride = a.row_bytes;
    if (Dot::kShift || a.row_bytes % kUnitBytes != 0) {
      s.x_stride = row_room(n_unit);
      left.reserve_discard(a.rows * s.x_stride);
      copy(a, 0, a.rows, 0, n_unit, s.x_stride, left.data());
      x = left.data();
    }
    const size_t n_strip = divide_up(a.rows, Dot::kMaxRows);
    for (size_t c = 0; c < a.n_out; c += kBlockCols) {
      for (size_t k = 0; k < n_unit; k += kFewDepth) {
        s.n_unit = std::min(kFewDepth, n_unit - k);
        s.first = k == 0;
        s.start = a.compensation == nullptr ? nullptr : a.compensation + c;
        s.w = a.panel + c / kBlockCols * a.block_bytes + k * kBlockRowBytes;
        s.ahead = s.w + s.n_unit * kBlockRowBytes;
        for (size_t i = 0; i < n_strip; ++i) {
          const size_t begin = a.rows * i / n_strip, end = a.rows * (i + 1) / n_strip;
          const size_t lines = divide_up(kBlockLines, n_strip);
          s.ahead_lines = i * lines < kBlockLines ? lines : 0;
          s.x = x + begin * s.x_stride + k * kUnitBytes;
          s.acc = a.acc + begin * a.n_out + c;
          kStrips[end - begin - 1](s);
          s.ahead += s.n_unit * lines * kLine;
        }
      }
    }
  }

  static void multiply_many(const Args& a) {
    thread_local Buffer<std::byte> left(Dot::kMaxRows * row_room(kDepth));
    const size_t n_unit = divide_up(a.row_bytes, kUnitBytes);
    const size_t n_strip = divide_up(a.rows, Dot::kMaxRows);
    Strip s;
    s.stride = a.n_out;
    s.x = left.data();
    s.x_stride = row_room(kDepth);
    for (size_t k = 0; k < n_unit; k += kDepth) {
      s.n_unit = std::min(kDepth, n_unit - k);
      s.first = k == 0;
      for (size_t i = 0; i < n_strip; ++i) {
        const size_t begin = a.rows * i / n_strip, end = a.rows * (i + 1) / n_strip;
        copy(a, begin, end - begin, k * kUnitBytes, s.n_unit, s.x_stride, left.data());
        for (size_t c = 0; c < a.n_out; c += kBlockCols) {
          s.w = a.panel + c / kBlockCols * a.block_bytes + k * kBlockRowBytes;
          s.start = a.compensation == nullptr ? nullptr : a.compensation + c;
          s.acc = a.acc + begin * a.n_out + c;
          kStrips[end - begin - 1](s);
        }
      }
    }
  }
};

}  // namespace
}  // namespace fathom::cpu
