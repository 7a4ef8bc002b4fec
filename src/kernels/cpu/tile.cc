// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/tile.h"

#include <cstring>

#include "base/dtype.h"
#include "base/error.h"
#include "kernels/cpu/onednn.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/tile.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

template <Activation kActivation, bool kIntegers>
HWY_INLINE void finish_rows(const Tile& t) {
  const F32 d;
  const hn::RebindToSigned<F32> di;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < t.rows; ++r) {
    const float* sums = static_cast<const float*>(t.acc) + r * t.acc_stride;
    const VF row_scale = hn::Set(d, kIntegers ? t.row_scale[r] : 1.0f);
    // Whole vectors may be read from acc and col_scale, past the last column.
    const auto value = [&](auto io, size_t c) HWY_ATTR {
      VF v = hn::Load(d, sums + c);
      if constexpr (kIntegers) {
        v = hn::Mul(hn::ConvertTo(d, hn::BitCast(di, v)), hn::LoadU(d, t.col_scale + c));
        v = hn::Mul(v, row_scale);
      }
      if (t.bias != nullptr) v = hn::Add(v, io.load(t.bias + c));
      return activate<kActivation>(d, v);
    };
    if (t.to_type == Compute::kBF16) {
      BF16* to = static_cast<BF16*>(t.to) + r * t.stride;
      size_t c = 0;
      for (; c + lanes <= t.cols; c += lanes) store_bf16(value(WholeVector(), c), to + c, lanes);
      const size_t rest = t.cols - c;
      if (rest > 0) store_bf16(value(PartVector{rest}, c), to + c, rest);
    } else {
      float* to = static_cast<float*>(t.to) + r * t.stride;
      for_each_vector(t.cols, [&](auto io, size_t c) HWY_ATTR {
        const VF v = value(io, c);
        io.store(t.accumulate ? hn::Add(io.load(to + c), v) : v, to + c);
      });
    }
  }
}

void finish(const Tile& tile) {
  with_activation(tile.activation, [&](auto constant) HWY_ATTR {
    constexpr Activation kActivation = decltype(constant)::value;
    if (tile.row_scale != nullptr) {
      finish_rows<kActivation, true>(tile);
    } else {
      finish_rows<kActivation, false>(tile);
    }
  });
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(finish);

void pack_block(const void* rows, size_t n_row, size_t stride, size_t n_unit, size_t n_unit_padded,
                void* block) {
  static_assert(sizeof(uint32_t) == kUnitBytes);
  // A line of 16 units from every row in turn: both sides then stay in the first-level cache.
  constexpr size_t kLine = 16;
  const auto* from = static_cast<const std::byte*>(rows);
  auto* to = static_cast<std::byte*>(block);
  const auto at = [](size_t unit) { return unit * kUnitBytes; };
  if (n_row < kBlockCols) std::memset(to, 0, at(n_unit_padded * kBlockCols));
  for (size_t k = 0; k < n_unit; k += kLine) {
    const size_t n = n_unit - k < kLine ? n_unit - k : kLine;
    for (size_t row = 0; row < n_row; ++row) {
      for (size_t i = 0; i < n; ++i) {
        uint32_t unit;
        std::memcpy(&unit, from + at(row * stride + k + i), sizeof(unit));
        std::memcpy(to + at((k + i) * kBlockCols + row), &unit, sizeof(unit));
      }
    }
  }
  std::memset(to + at(n_unit * kBlockCols), 0, at((n_unit_padded - n_unit) * kBlockCols));
}

void finish_tile(const Tile& tile) {
  FATHOM_ASSERT(tile.acc_stride % 16 == 0 && tile.cols <= tile.acc_stride);
  FATHOM_ASSERT((tile.row_scale == nullptr) == (tile.col_scale == nullptr));
  FATHOM_ASSERT(!tile.accumulate || (tile.activation == Activation::kNone && tile.bias == nullptr &&
                                     tile.to_type == Compute::kF32));
  HWY_DYNAMIC_DISPATCH(finish)(tile);
}

}  // namespace fathom::cpu
#endif  // HWY_ONCE
