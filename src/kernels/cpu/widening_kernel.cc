// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/widening_kernel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/buffer.h"
#include "base/error.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/unroll.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/widening_kernel.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

using U32 = hn::RebindToUnsigned<F32>;
using I32 = hn::RebindToSigned<F32>;
using VU = hn::Vec<U32>;
using VI = hn::Vec<I32>;

// Instructions that add to a sum where it stands. Left to the compiler, sums move about, and through
// memory where they fill 12 of 16 registers: a tenth to a fifth slower.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
HWY_INLINE VF fused(VF x, VF w, VF sum) {
  asm("vfmadd231ps %2, %1, %0" : "+v"(sum.raw) : "v"(x.raw), "v"(w.raw));
  return sum;
}
HWY_INLINE VI add_pairs(VI x, VI w, VI sum) {
  VI product;
  asm("vpmaddwd %2, %3, %1\n\tvpaddd %1, %0, %0"
      : "+v"(sum.raw), "=&v"(product.raw)
      : "v"(x.raw), "v"(w.raw));
  return sum;
}
#else
HWY_INLINE VF fused(VF x, VF w, VF sum) { return hn::MulAdd(x, w, sum); }
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
HWY_INLINE VI add_pairs(VI x, VI w, VI sum) {
  const hn::Repartition<int16_t, I32> d16;
  VI unused = hn::Zero(I32());  // on x86 the sums are of neighbours, and all in the first
  return hn::ReorderWidenMulAccumulate(I32(), hn::BitCast(d16, x), hn::BitCast(d16, w), sum,
                                       unused);
}
#endif
#endif

// A type of product: how many parts a unit of 4 bytes falls into, each multiplied by itself.
// multiply_add: sum + x w, lane by lane.
struct FloatSums {
  using Sum = float;
  using V = VF;
  static HWY_INLINE VF multiply_add(VF x, VF w, VF sum) { return fused(x, w, sum); }
};

struct F32Parts : FloatSums {
  static constexpr size_t kParts = 1;
  template <size_t kPart>
  static HWY_INLINE VF part(VU units) {
    return hn::BitCast(F32(), units);
  }
};

struct BF16Parts : FloatSums {
  static constexpr size_t kParts = 2;
  template <size_t kPart>
  static HWY_INLINE VF part(VU units) {
    if constexpr (kPart == 0) return hn::BitCast(F32(), hn::ShiftLeft<16>(units));
    return hn::BitCast(F32(), hn::And(units, hn::Set(U32(), 0xffff0000u)));
  }
};

#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
// Bytes 0 and 2 as 16-bit numbers, then 1 and 3: vpmaddwd multiplies and adds pairs of those without
// loss, where vpmaddubsw, made for bytes, would saturate.
struct Int8Parts {
  static constexpr size_t kParts = 2;
  using Sum = int32_t;
  using V = VI;
  using I16 = hn::Repartition<int16_t, I32>;
  template <size_t kPart>
  static HWY_INLINE VI part(VU units) {
    const auto pairs = hn::BitCast(I16(), units);
    if constexpr (kPart == 0) return hn::BitCast(I32(), hn::ShiftRight<8>(hn::ShiftLeft<8>(pairs)));
    return hn::BitCast(I32(), hn::ShiftRight<8>(pairs));
  }
  static HWY_INLINE VI multiply_add(VI x, VI w, VI sum) { return add_pairs(x, w, sum); }
};
#else
struct Int8Parts {
  static constexpr size_t kParts = 4;
  using Sum = int32_t;
  using V = VI;
  template <size_t kPart>
  static HWY_INLINE VI part(VU units) {
    return hn::ShiftRight<24>(hn::BitCast(I32(), hn::ShiftLeft<24 - 8 * kPart>(units)));
  }
  static HWY_INLINE VI multiply_add(VI x, VI w, VI sum) { return hn::Add(sum, hn::Mul(x, w)); }
};
#endif

// Units along n_in at a time: left sides of a strip (6 rows, 2 parts) then take 12 KiB.
inline constexpr size_t kWideningDepth = 256;
inline constexpr size_t kLineUnits = 16;  // of a line of a cache
inline constexpr size_t kBlockLines = kBlockCols / kLineUnits;

// Some rows by some columns of a block.
struct Columns {
  const uint32_t* left = nullptr;  // (rows, parts, kWideningDepth) widened
  const uint32_t* w = nullptr;     // (n_unit, kBlockCols) units
  size_t n_unit = 0;
  bool first = true;  // sums begin at 0, else they are in acc
  // Weights that are wanted next, brought nearer by this many lines with every unit.
  const uint32_t* ahead = nullptr;
  const uint32_t* ahead_end = nullptr;
  size_t ahead_lines = 0;
  void* acc = nullptr;  // (rows, stride)
  size_t stride = 0;

  void look_ahead(const uint32_t* from) {
    ahead = from;
    ahead_end = from + n_unit * kBlockCols;
  }
};

template <class Parts, size_t kPart>
HWY_INLINE typename Parts::V left_part(const uint32_t* left, size_t row) {
  typename Parts::Sum number;
  std::memcpy(&number, left + (row * Parts::kParts + kPart) * kWideningDepth, sizeof(number));
  return hn::Set(hn::Rebind<typename Parts::Sum, F32>(), number);
}

// One part of every weight by the same part of every row.
template <class Parts, size_t kPart, size_t kRows, size_t kVectors>
HWY_INLINE void multiply_part(const uint32_t* left, const uint32_t* w,
                              typename Parts::V (&sums)[kRows][kVectors]) {
  const size_t lanes = hn::Lanes(U32());
  if constexpr (kVectors > 2 && kVectors > kRows) {
    // More weights than rows: those of the left side stay in registers.
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      const auto weights = Parts::template part<kPart>(hn::Load(U32(), w + v * lanes));
      FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
        sums[r][v] = Parts::multiply_add(left_part<Parts, kPart>(left, r), weights, sums[r][v]);
      }
    }
  } else {
    typename Parts::V weights[kVectors];
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      weights[v] = Parts::template part<kPart>(hn::Load(U32(), w + v * lanes));
    }
    FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
      const auto x = left_part<Parts, kPart>(left, r);
      FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
        sums[r][v] = Parts::multiply_add(x, weights[v], sums[r][v]);
      }
    }
  }
}

// Weights are loaded for every part anew: kept in registers, they would drive sums out of them.
HWY_INLINE const uint32_t* reload(const uint32_t* w) {
  asm("" : "+r"(w));
  return w;
}

template <class Parts, size_t kRows, size_t kVectors, bool kAhead>
HWY_INLINE void multiply_columns(const Columns& c) {
  const hn::Rebind<typename Parts::Sum, F32> d;
  const size_t lanes = hn::Lanes(d);
  auto* const acc = static_cast<typename Parts::Sum*>(c.acc);
  typename Parts::V sums[kRows][kVectors];
  FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      sums[r][v] = c.first ? hn::Zero(d) : hn::Load(d, acc + r * c.stride + v * lanes);
    }
  }
  const uint32_t* left = c.left;
  const uint32_t* w = c.w;
  const uint32_t* ahead = c.ahead;
  for (size_t k = 0; k < c.n_unit; ++k, ++left, w += kBlockCols) {
    for (size_t i = 0; kAhead && i < c.ahead_lines; ++i, ahead += kLineUnits) {
      __builtin_prefetch(ahead, 0, 2);
    }
    multiply_part<Parts, 0>(left, w, sums);
    if constexpr (Parts::kParts > 1) multiply_part<Parts, 1>(left, reload(w), sums);
    if constexpr (Parts::kParts > 2) multiply_part<Parts, 2>(left, reload(w), sums);
    if constexpr (Parts::kParts > 2) multiply_part<Parts, 3>(left, reload(w), sums);
  }
  FATHOM_UNROLL for (size_t r = 0; r < kRows; ++r) {
    FATHOM_UNROLL for (size_t v = 0; v < kVectors; ++v) {
      hn::Store(sums[r][v], d, acc + r * c.stride + v * lanes);
    }
  }
}

// 6 rows by 2 vectors of sums leave 4 of 16 registers; 32 hold twice the columns.
inline constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || !HWY_ARCH_X86;
inline constexpr size_t kWideningRows = 6;
inline constexpr size_t vectors_of(size_t rows) {
  const size_t wanted = kManyRegisters || rows == 2 ? 4 : rows == 1 ? 8 : 2;
  return std::min(wanted, kBlockCols / kMaxLanes);
}

// Times that a strip goes over the weights of a block.
inline constexpr size_t passes_of(size_t rows) { return kBlockCols / kMaxLanes / vectors_of(rows); }

// A strip of rows by a whole block; c.ahead moves on.
template <class Parts, size_t kRows>
void multiply_strip(Columns& c) {
  constexpr size_t kVectors = vectors_of(kRows);
  const size_t width = kVectors * hn::Lanes(F32());
  Columns pass = c;
  for (size_t column = 0; column < kBlockCols; column += width) {
    pass.w = c.w + column;
    pass.acc = static_cast<typename Parts::Sum*>(c.acc) + column;
    if (c.ahead < c.ahead_end) {
      pass.ahead = c.ahead;
      multiply_columns<Parts, kRows, kVectors, true>(pass);
      c.ahead += c.ahead_lines * c.n_unit * kLineUnits;
    } else {
      multiply_columns<Parts, kRows, kVectors, false>(pass);
    }
  }
}

template <class Parts, size_t... kRows>
constexpr std::array<void (*)(Columns&), sizeof...(kRows)> strips(std::index_sequence<kRows...>) {
  return {multiply_strip<Parts, kRows + 1>...};
}

// to: (parts, kWideningDepth) = n bytes of a row, widened; what is missing of the last unit is zero,
// as the weights are there.
template <class Parts>
HWY_INLINE void widen_left(const std::byte* from, size_t n, uint32_t* to) {
  const U32 d;
  const size_t lanes = hn::Lanes(d);
  const auto put = [&](VU units, size_t at) HWY_ATTR {
    const auto store = [&](auto part, size_t p) HWY_ATTR {
      hn::StoreU(hn::BitCast(d, part), d, to + p * kWideningDepth + at);
    };
    store(Parts::template part<0>(units), 0);
    if constexpr (Parts::kParts > 1) store(Parts::template part<1>(units), 1);
    if constexpr (Parts::kParts > 2) store(Parts::template part<2>(units), 2);
    if constexpr (Parts::kParts > 2) store(Parts::template part<3>(units), 3);
  };
  const size_t vector_bytes = lanes * kUnitBytes;
  size_t i = 0;
  alignas(64) uint32_t units[kMaxLanes] = {};  // `from` may have any alignment
  for (; i + vector_bytes <= n; i += vector_bytes) {
    std::memcpy(units, from + i, vector_bytes);
    put(hn::Load(d, units), i / kUnitBytes);
  }
  if (i < n) {
    std::memset(units, 0, sizeof(units));
    std::memcpy(units, from + i, n - i);
    put(hn::Load(d, units), i / kUnitBytes);
  }
}

// to: (rows, parts, kWideningDepth) = units of (rows, row_bytes) from unit `begin` on, widened.
template <class Parts>
void widen_rows(const std::byte* from, size_t rows, size_t row_bytes, size_t begin, uint32_t* to) {
  const size_t at = begin * kUnitBytes;
  const size_t n = std::min(kWideningDepth * kUnitBytes, row_bytes - at);
  for (size_t r = 0; r < rows; ++r) {
    widen_left<Parts>(from + r * row_bytes + at, n, to + r * Parts::kParts * kWideningDepth);
  }
}

template <class Parts>
void multiply_as(const std::byte* x, size_t rows, size_t row_bytes, const uint32_t* panel,
                 size_t block_units, size_t n_out, void* acc) {
  static constexpr auto kStrips = strips<Parts>(std::make_index_sequence<kWideningRows>());
  constexpr size_t kRowUnits = Parts::kParts * kWideningDepth;
  thread_local Buffer<uint32_t> left(kWideningRows * kRowUnits);
  const size_t n_unit = divide_up(row_bytes, kUnitBytes);
  const size_t n_strip = divide_up(rows, kWideningRows);
  const auto first_row = [&](size_t strip) { return rows * strip / n_strip; };
  Columns c;
  c.left = left.data();
  c.stride = n_out;
  const auto widen = [&](size_t k, size_t strip) {
    c.n_unit = std::min(kWideningDepth, n_unit - k);
    c.first = k == 0;
    widen_rows<Parts>(x + first_row(strip) * row_bytes, first_row(strip + 1) - first_row(strip),
                      row_bytes, k, left.data());
  };
  const auto multiply = [&](size_t k, size_t strip, size_t column) {
    c.w = panel + column / kBlockCols * block_units + k * kBlockCols;
    c.acc = static_cast<typename Parts::Sum*>(acc) + first_row(strip) * n_out + column;
    kStrips[first_row(strip + 1) - first_row(strip) - 1](c);
  };
  constexpr size_t kFewRows = 64;
  if (rows > kFewRows) {
    c.ahead_lines = divide_up(kBlockLines, passes_of(kWideningRows));
    for (size_t k = 0; k < n_unit; k += kWideningDepth) {
      for (size_t i = 0; i < n_strip; ++i) {
        widen(k, i);
        for (size_t column = 0; column < n_out; column += kBlockCols) {
          if (i == 0 && column + kBlockCols < n_out) {
            c.look_ahead(panel + (column / kBlockCols + 1) * block_units + k * kBlockCols);
          } else if (i == 1 && column == 0 && k + kWideningDepth < n_unit) {
            c.look_ahead(panel + (k + kWideningDepth) * kBlockCols);
          }
          multiply(k, i, column);
        }
      }
    }
    return;
  }
  // A piece of weights after the other in the order of memory, and all rows by each: it stays in the
  // second-level cache, where the next piece arrives meanwhile. Rows are widened anew for each.
  c.ahead_lines = divide_up(kBlockLines, n_strip * passes_of(divide_up(rows, n_strip)));
  for (size_t column = 0; column < n_out; column += kBlockCols) {
    const uint32_t* w = panel + column / kBlockCols * block_units;
    for (size_t k = 0; k < n_unit; k += kWideningDepth, w += kWideningDepth * kBlockCols) {
      for (size_t i = 0; i < n_strip; ++i) {
        widen(k, i);
        if (i == 0) c.look_ahead(w + c.n_unit * kBlockCols);
        multiply(k, i, column);
      }
    }
  }
}

void multiply_widened(Compute compute, const void* x, size_t rows, size_t n_in, const void* panel,
                      size_t n_out, void* acc) {
  const auto* from = static_cast<const std::byte*>(x);
  const auto* units = static_cast<const uint32_t*>(panel);
  const size_t row_bytes = n_in * kUnitBytes / elements_per_unit(compute);
  const size_t block_units = padded_units(compute, n_in) * kBlockCols;
  switch (compute) {
    case Compute::kF32:
      return multiply_as<F32Parts>(from, rows, row_bytes, units, block_units, n_out, acc);
    case Compute::kBF16:
      return multiply_as<BF16Parts>(from, rows, row_bytes, units, block_units, n_out, acc);
    case Compute::kInt8:
      return multiply_as<Int8Parts>(from, rows, row_bytes, units, block_units, n_out, acc);
  }
}

bool is_worth_it() { return !HWY_ARCH_X86 || HWY_TARGET <= HWY_AVX2; }

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(multiply_widened);
HWY_EXPORT(is_worth_it);

bool has_widening_kernel() {
  max_isa();  // gives Highway its limit
  return HWY_DYNAMIC_DISPATCH(is_worth_it)();
}

void multiply_widening(Compute compute, const void* x, size_t rows, size_t n_in, const void* panel,
                       size_t n_out, void* acc) {
  FATHOM_ASSERT(n_out % kBlockCols == 0);
  HWY_DYNAMIC_DISPATCH(multiply_widened)(compute, x, rows, n_in, panel, n_out, acc);
}

}  // namespace fathom::cpu
#endif  // HWY_ONCE
