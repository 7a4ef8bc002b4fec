// SPDX-License-Identifier: Apache-2.0
// Walking over a row of f32 whose width need not be a multiple of the vector, and storing a row as
// the left-hand operand of a product.
#if defined(FATHOM_KERNELS_CPU_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FATHOM_KERNELS_CPU_ROW_INL_H_
#undef FATHOM_KERNELS_CPU_ROW_INL_H_
#else
#define FATHOM_KERNELS_CPU_ROW_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "base/buffer.h"
#include "base/dtype.h"
#include "hwy/highway.h"
#include "kernels/backend.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using VF = hn::Vec<F32>;

// Most lanes of F32 on the instruction set being compiled; a constant, unlike hn::Lanes.
inline constexpr size_t kMaxLanes = HWY_MAX_BYTES / sizeof(float);

// A whole vector of a row.
struct WholeVector {
  HWY_INLINE VF load(const float* p) const { return hn::LoadU(F32(), p); }
  HWY_INLINE void store(VF v, float* p) const { hn::StoreU(v, F32(), p); }
  HWY_INLINE VF keep(VF v) const { return v; }
};

// The rest of a row: n lanes, the others read as zero. Through memory, since Highway 1.0.3's masked
// loads read past the end on some instruction sets.
struct PartVector {
  size_t n;
  HWY_INLINE VF load(const float* p) const {
    alignas(64) float lanes[kMaxLanes] = {};
    std::memcpy(lanes, p, n * sizeof(float));
    return hn::Load(F32(), lanes);
  }
  HWY_INLINE void store(VF v, float* p) const {
    alignas(64) float lanes[kMaxLanes];
    hn::Store(v, F32(), lanes);
    std::memcpy(p, lanes, n * sizeof(float));
  }
  // Zero in the lanes that are not part of the row.
  HWY_INLINE VF keep(VF v) const { return hn::IfThenElseZero(hn::FirstN(F32(), n), v); }
};

// Calls body(WholeVector or PartVector, column) along a row.
template <class Body>
HWY_INLINE void for_each_vector(size_t cols, const Body& body) {
  const size_t lanes = hn::Lanes(F32());
  size_t c = 0;
  for (; c + lanes <= cols; c += lanes) body(WholeVector(), c);
  if (c < cols) body(PartVector{cols - c}, c);
}

// Σ term(io, column) over a row; term gives 0 in the lanes that are not part of it. Four partial
// sums, so that the latency of an addition does not bound the loop.
template <class Term>
HWY_INLINE VF sum_vectors(size_t cols, const Term& term) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  VF sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t c = 0;
  for (; c + 4 * lanes <= cols; c += 4 * lanes) {
    sum0 = hn::Add(sum0, term(WholeVector(), c));
    sum1 = hn::Add(sum1, term(WholeVector(), c + lanes));
    sum2 = hn::Add(sum2, term(WholeVector(), c + 2 * lanes));
    sum3 = hn::Add(sum3, term(WholeVector(), c + 3 * lanes));
  }
  for (; c + lanes <= cols; c += lanes) sum0 = hn::Add(sum0, term(WholeVector(), c));
  if (c < cols) sum1 = hn::Add(sum1, term(PartVector{cols - c}, c));
  return hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
}

template <class Term>
HWY_INLINE float sum_row(size_t cols, const Term& term) {
  return hn::GetLane(hn::SumOfLanes(F32(), sum_vectors(cols, term)));
}

// What bf16 leaves of v, as f32. NaN may become infinite: used only for the rounding error.
HWY_INLINE VF rounded_to_bf16(VF v) {
  const hn::RebindToUnsigned<F32> du;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto rounded = hn::Add(bits, hn::Add(hn::Set(du, 0x7fffu), odd));
  return hn::BitCast(F32(), hn::And(rounded, hn::Set(du, 0xffff0000u)));
}

HWY_INLINE void store_bf16(VF v, BF16* to, size_t n) {
  const hn::RebindToUnsigned<F32> du;
  const hn::RebindToSigned<F32> di;
  const hn::Rebind<uint16_t, F32> du16;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto rounded = hn::Add(bits, hn::Add(hn::Set(du, 0x7fffu), odd));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x400000u));
  const auto is_nan = hn::RebindMask(du, hn::IsNaN(v));
  const auto high = hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
  const auto narrow = hn::DemoteTo(du16, hn::BitCast(di, high));
  if (n == hn::Lanes(F32())) {
    hn::StoreU(narrow, du16, reinterpret_cast<uint16_t*>(to));
  } else {
    alignas(64) uint16_t lanes[kMaxLanes];
    hn::StoreU(narrow, du16, lanes);
    std::memcpy(to, lanes, n * sizeof(uint16_t));
  }
}

// Largest |x| of a row; NaN or infinity if one is in it.
HWY_INLINE float largest_size(const float* x, size_t cols) {
  // The bits of non-negative floats are ordered as the floats are, with NaN on top.
  const hn::RebindToSigned<F32> di;
  auto largest = hn::Zero(di);
  for_each_vector(cols, [&](auto io, size_t c) HWY_ATTR {
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(io.load(x + c))));
  });
  return std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(di, largest)));
}

HWY_INLINE void store_int8(const float* x, size_t cols, int8_t* to, float* scale) {
  const F32 d;
  const hn::RebindToSigned<F32> di;
  const hn::Rebind<int8_t, F32> d8;
  const float largest = largest_size(x, cols);
  if (!(largest >= 1e-36f && largest <= std::numeric_limits<float>::max())) {
    *scale = largest < 1e-36f ? 0.0f : std::numeric_limits<float>::quiet_NaN();
    std::memset(to, 0, cols);
    return;
  }
  *scale = largest / 127.0f;
  const VF factor = hn::Set(d, 127.0f / largest);
  const size_t lanes = hn::Lanes(d);
  // Adding 1.5 * 2^23 rounds to nearest even and leaves the integer in the low bits. (NearestInt of
  // Highway 1.0.3 rounds 0.49999997 to 1 on the scalar target.)
  const VF shift = hn::Set(d, 0x1.8p23f);
  const auto quantise = [&](VF v) HWY_ATTR {
    const VF shifted = hn::Add(hn::Mul(v, factor), shift);
    return hn::DemoteTo(d8, hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, shift)));
  };
  size_t c = 0;
  for (; c + lanes <= cols; c += lanes) hn::StoreU(quantise(hn::LoadU(d, x + c)), d8, to + c);
  if (c < cols) {
    alignas(64) int8_t rest[kMaxLanes];
    hn::StoreU(quantise(PartVector{cols - c}.load(x + c)), d8, rest);
    std::memcpy(to + c, rest, cols - c);
  }
}

// Where an operator puts a row of its result, vector by vector: straight into the operand, or for
// int8, whose scale is known only at the end, into scratch.
class OperandRow {
 public:
  // scratch: (cols), needed for int8 alone.
  HWY_INLINE OperandRow(const Operand& out, size_t t, float* scratch) : out_(out), t_(t) {
    if (out.type == Compute::kF32) f32_ = static_cast<float*>(out.data) + t * out.stride;
    if (out.type == Compute::kBF16) {
      bf16_ = static_cast<BF16*>(out.data) + t * out.stride;
      if (!out.compensated.empty()) find_error_row();
    }
    if (out.type == Compute::kInt8) f32_ = scratch;
  }

  HWY_INLINE void put(WholeVector io, VF v, size_t c) const {
    if (bf16_) return put_bf16(v, c, hn::Lanes(F32()));
    io.store(v, f32_ + c);
  }
  HWY_INLINE void put(PartVector io, VF v, size_t c) const {
    if (bf16_) return put_bf16(v, c, io.n);
    io.store(v, f32_ + c);
  }

  // After all columns.
  HWY_INLINE void finish() const {
    if (out_.type != Compute::kInt8) return;
    store_int8(f32_, out_.cols, static_cast<int8_t*>(out_.data) + t_ * out_.stride,
               out_.scale + t_);
  }

 private:
  HWY_INLINE void put_bf16(VF v, size_t c, size_t n) const {
    store_bf16(v, bf16_ + c, n);
    if (error_) store_bf16(hn::Sub(v, rounded_to_bf16(v)), error_ + c, n);
  }
  void find_error_row() {
    const auto at = std::lower_bound(out_.compensated.begin(), out_.compensated.end(), t_);
    if (at == out_.compensated.end() || *at != t_) return;
    const size_t index = static_cast<size_t>(at - out_.compensated.begin());
    error_ = static_cast<BF16*>(out_.data) + (out_.rows + index) * out_.stride;
  }

  const Operand& out_;
  size_t t_;
  float* f32_ = nullptr;
  BF16* bf16_ = nullptr;
  BF16* error_ = nullptr;  // where the rounding error of this row is kept, if it is
};

// Scratch for the rows of an operand: none but for int8.
inline Buffer<float> operand_scratch(const Operand& out) {
  return Buffer<float>(out.type == Compute::kInt8 ? out.cols : 0);
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard, once per target
