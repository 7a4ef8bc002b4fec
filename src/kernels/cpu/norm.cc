// SPDX-License-Identifier: Apache-2.0
// Layer norm, and the group norm after WKV with v7's bonus and the gate.
//
// Mean and variance take two passes over the row, the second about the mean of the first: late
// layers have |mean| >> standard deviation, where E[x^2] - E[x]^2 would lose everything.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/ops.h"
#include "kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

// How to normalise a row: ((x - mean) - mean_error) * scale. The mean has two words, since rounding
// it to f32 would shift rows whose mean is large by a visible part of their standard deviation.
struct Normal {
  VF mean, mean_error, scale;

  HWY_INLINE VF of(VF x) const { return hn::Mul(hn::Sub(hn::Sub(x, mean), mean_error), scale); }
};

// Σ (x - mean) and Σ (x - mean)^2 of a row, in one pass.
struct OffsetSums {
  float first, second;
};

HWY_INLINE OffsetSums offset_sums(const float* x, size_t n, VF mean) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  VF first0 = hn::Zero(d), first1 = first0, second0 = first0, second1 = first0;
  size_t c = 0;
  for (; c + 2 * lanes <= n; c += 2 * lanes) {
    const VF a = hn::Sub(hn::LoadU(d, x + c), mean);
    const VF b = hn::Sub(hn::LoadU(d, x + c + lanes), mean);
    first0 = hn::Add(first0, a);
    first1 = hn::Add(first1, b);
    second0 = hn::MulAdd(a, a, second0);
    second1 = hn::MulAdd(b, b, second1);
  }
  for_each_vector(n - c, [&](auto io, size_t rest) HWY_ATTR {
    const VF a = io.keep(hn::Sub(io.load(x + c + rest), mean));
    first0 = hn::Add(first0, a);
    second0 = hn::MulAdd(a, a, second0);
  });
  return {hn::GetLane(hn::SumOfLanes(d, hn::Add(first0, first1))),
          hn::GetLane(hn::SumOfLanes(d, hn::Add(second0, second1)))};
}

HWY_INLINE Normal normal_of(const float* x, size_t n, float eps) {
  const F32 d;
  const float one_nth = 1.0f / static_cast<float>(n);
  const float sum = sum_row(n, [&](auto io, size_t c) HWY_ATTR { return io.load(x + c); });
  const VF mean = hn::Set(d, sum * one_nth);
  const OffsetSums sums = offset_sums(x, n, mean);
  const float mean_error = sums.first * one_nth;
  const float variance = std::max(sums.second * one_nth - mean_error * mean_error, 0.0f);
  return {mean, hn::Set(d, mean_error), hn::Set(d, 1.0f / std::sqrt(variance + eps))};
}

void layer_norm_rows(Matrix<const float> x, const float* weight, const float* bias, float eps,
                     Matrix<float> y, size_t begin, size_t end) {
  for (size_t t = begin; t < end; ++t) {
    const float* xt = x.row(t).data();
    float* yt = y.row(t).data();
    const Normal normal = normal_of(xt, x.cols(), eps);
    for_each_vector(x.cols(), [&](auto io, size_t c) HWY_ATTR {
      const VF v = normal.of(io.load(xt + c));
      io.store(hn::MulAdd(v, io.load(weight + c), io.load(bias + c)), yt + c);
    });
  }
}

// One head of one token: group norm, bonus, gate.
template <Activation kActivation>
HWY_INLINE void group_norm_head(const GroupNormArgs& args, size_t t, size_t first,
                                const OperandRow& out) {
  const F32 d;
  const size_t n = args.head_size;
  const float* y = args.y.row(t).data() + first;
  const float* weight = args.weight.data() + first;
  const float* bias = args.bias.data() + first;
  const float* gate = args.gate.rows() ? args.gate.row(t).data() + first : nullptr;
  const float* v = nullptr;
  VF bonus = hn::Zero(d);
  if (args.r.rows()) {
    const float* r = args.r.row(t).data() + first;
    const float* k = args.k.row(t).data() + first;
    const float* r_k = args.r_k.data() + first;
    v = args.v.row(t).data() + first;
    bonus = hn::Set(d, sum_row(n, [&](auto io, size_t c) HWY_ATTR {
                      return hn::Mul(hn::Mul(io.load(r + c), io.load(k + c)), io.load(r_k + c));
                    }));
  }
  const Normal normal = normal_of(y, n, args.eps);
  for_each_vector(n, [&](auto io, size_t c) HWY_ATTR {
    VF z = hn::MulAdd(normal.of(io.load(y + c)), io.load(weight + c), io.load(bias + c));
    if (v) z = hn::MulAdd(bonus, io.load(v + c), z);
    if (gate) z = hn::Mul(z, activate<kActivation>(d, io.load(gate + c)));
    out.put(io, z, first + c);
  });
}

void group_norm_rows(const GroupNormArgs& args, size_t begin, size_t end) {
  const Buffer<float> scratch = operand_scratch(args.out);
  with_activation(args.gate_activation, [&](auto constant) HWY_ATTR {
    for (size_t t = begin; t < end; ++t) {
      const OperandRow out(args.out, t, scratch.data());
      for (size_t first = 0; first < args.y.cols(); first += args.head_size) {
        group_norm_head<decltype(constant)::value>(args, t, first, out);
      }
      out.finish();
    }
  });
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(layer_norm_rows);
HWY_EXPORT(group_norm_rows);

void layer_norm(ThreadPool& pool, Matrix<const float> x, std::span<const float> weight,
                std::span<const float> bias, float eps, Matrix<float> y) {
  FATHOM_ASSERT(y.rows() == x.rows() && y.cols() == x.cols());
  FATHOM_ASSERT(weight.size() == x.cols() && bias.size() == x.cols());
  for_rows(pool, x.rows(), 2 * x.cols(), [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(layer_norm_rows)(x, weight.data(), bias.data(), eps, y, begin, end);
  });
}

void group_norm(ThreadPool& pool, const GroupNormArgs& args) {
  const auto same_shape = [&](Matrix<const float> m) {
    return m.rows() == args.y.rows() && m.cols() == args.y.cols();
  };
  FATHOM_ASSERT(args.head_size > 0 && args.y.cols() % args.head_size == 0);
  FATHOM_ASSERT(args.weight.size() == args.y.cols() && args.bias.size() == args.y.cols());
  FATHOM_ASSERT(args.out.rows == args.y.rows() && args.out.cols == args.y.cols());
  FATHOM_ASSERT(args.out.stride >= args.out.cols);
  FATHOM_ASSERT(args.gate.rows() == 0 || same_shape(args.gate));
  FATHOM_ASSERT(args.r.rows() == 0 || (same_shape(args.r) && same_shape(args.k) &&
                                       same_shape(args.v) && args.r_k.size() == args.y.cols()));
  for_rows(pool, args.y.rows(), 3 * args.y.cols(), [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(group_norm_rows)(args, begin, end);
  });
}

}  // namespace fathom::cpu
#endif  // HWY_ONCE
