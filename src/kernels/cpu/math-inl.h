// SPDX-License-Identifier: Apache-2.0
// exp and what is made of it, on vectors of f32, for the instruction set being compiled.
//
// Valid for every float; NaN stays NaN. Highway's own contrib/math is not used because its Exp
// turns NaN into 0 and is undefined above 104: a broken model must show. Largest relative errors
// where the result is a normal number, over a third of all floats: exp 8.5e-8, sigmoid 1.5e-7, silu
// 1.8e-7, tanh 1.5e-7 (math_test.cc checks a sample). Polynomials: minimax fits of our own, with
// coefficients rounded to f32 one after the other.
#if defined(FATHOM_KERNELS_CPU_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FATHOM_KERNELS_CPU_MATH_INL_H_
#undef FATHOM_KERNELS_CPU_MATH_INL_H_
#else
#define FATHOM_KERNELS_CPU_MATH_INL_H_
#endif

#include <limits>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/backend.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// x = n ln 2 + r with |r| <= ln 2 / 2. Then e^x = 2^n e^r.
template <class V>
struct Reduced {
  V n;        // whole number
  V r;        // r rounded to f32
  V r_error;  // what the rounding lost
  V shifted;  // its low mantissa bits are n in two's complement
};

template <class D, class V = hn::Vec<D>>
HWY_INLINE Reduced<V> reduce(D d, V x) {
  // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits of the mantissa.
  const V shift = hn::Set(d, 0x1.8p23f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), shift);
  const V n = hn::Sub(shifted, shift);
  // ln 2 = 355 / 512 - 2.12194440e-4: n times the first part is exact even without FMA.
  const V rough = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  const V rest = hn::Mul(n, hn::Set(d, -2.12194440e-4f));
  const V r = hn::Sub(rough, rest);
  return {n, r, hn::Sub(hn::Sub(rough, r), rest), shifted};
}

// e^r - 1 - r for |r| <= ln 2 / 2; error 4e-9.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_tail(D d, V r) {
  const V r2 = hn::Mul(r, r);
  const V high = hn::MulAdd(hn::Set(d, 1.38631335e-3f), r, hn::Set(d, 8.36744066e-3f));
  const V low = hn::MulAdd(hn::Set(d, 0.166665345f), r, hn::Set(d, 0.5f));
  return hn::Mul(r2, hn::MulAdd(hn::MulAdd(high, r, hn::Set(d, 4.16672453e-2f)), r2, low));
}

// p * 2^n for the n of `shifted`, where p in [0.7, 1.5] and the result is a normal number.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V scale_by_power(D d, V p, V shifted) {
  const hn::RebindToUnsigned<D> du;
  return hn::BitCast(d, hn::Add(hn::BitCast(du, p), hn::ShiftLeft<23>(hn::BitCast(du, shifted))));
}

// e^x; infinite above 88.72, and 0 where the result would be subnormal (below -87.33).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_of(D d, V x) {
  const Reduced<V> a = reduce(d, x);
  const V p = hn::Add(hn::Set(d, 1.0f), hn::Add(a.r, exp_tail(d, a.r)));
  V y = scale_by_power(d, p, a.shifted);
  y = hn::IfThenElse(hn::Lt(x, hn::Set(d, -87.33654f)), hn::Zero(d), y);
  // Above, x times infinity: infinite, or NaN where x is, whose bits have gone wrong in y.
  const V above = hn::Mul(x, hn::Set(d, std::numeric_limits<float>::infinity()));
  return hn::IfThenElse(hn::Le(x, hn::Set(d, 88.7228317f)), y, above);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid_of(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp_of(d, hn::Neg(x))));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V silu_of(D d, V x) {
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), exp_of(d, hn::Neg(x))));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh_of(D d, V x) {
  const V size = hn::Abs(x);
  const V one = hn::Set(d, 1.0f), two = hn::Set(d, 2.0f);
  const V e = exp_of(d, hn::Add(size, size));
  const V large = hn::Sub(one, hn::Div(two, hn::Add(e, one)));
  // Near zero the difference above cancels: x + x^3 P(x^2), error 4e-9 up to 0.625.
  const V x2 = hn::Mul(size, size);
  V p = hn::MulAdd(hn::Set(d, -5.71620325e-3f), x2, hn::Set(d, 2.06497088e-2f));
  p = hn::MulAdd(p, x2, hn::Set(d, -5.37431724e-2f));
  p = hn::MulAdd(p, x2, hn::Set(d, 0.133314863f));
  p = hn::MulAdd(p, x2, hn::Set(d, -0.333332837f));
  const V small = hn::MulAdd(hn::Mul(size, x2), p, size);
  return hn::CopySignToAbs(hn::IfThenElse(hn::Lt(size, hn::Set(d, 0.625f)), small, large), x);
}

// exp(-exp(x)), the decay of v6. The inner exponential is kept in two words: its rounding alone,
// 3e-8 of up to 87, would already cost 4e-6 of the result.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_of_minus_exp(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const Reduced<V> a = reduce(d, x);
  const V tail = hn::Add(exp_tail(d, a.r), a.r_error);
  const V s = hn::Add(a.r, tail);
  const V p = hn::Add(one, s);
  const V p_error = hn::Add(hn::Sub(s, hn::Sub(p, one)), hn::Sub(tail, hn::Sub(s, a.r)));
  const V inner = scale_by_power(d, p, a.shifted);
  const V inner_error = hn::Mul(p_error, scale_by_power(d, one, a.shifted));
  const V outer = exp_of(d, hn::Neg(inner));
  V y = hn::NegMulAdd(outer, inner_error, outer);
  y = hn::IfThenElse(hn::Gt(x, hn::Set(d, 5.0f)), hn::Zero(d), y);  // exp(-148) is no float
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, -80.0f)), one, y);
}

template <Activation kActivation, class D, class V = hn::Vec<D>>
HWY_INLINE V activate(D d, V x) {
  if constexpr (kActivation == Activation::kTanh) return tanh_of(d, x);
  if constexpr (kActivation == Activation::kSigmoid) return sigmoid_of(d, x);
  if constexpr (kActivation == Activation::kSilu) return silu_of(d, x);
  if constexpr (kActivation == Activation::kReluSquared) {
    // Not Max with zero, which on some instruction sets would hide NaN.
    const V positive = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Zero(d), x);
    return hn::Mul(positive, positive);
  }
  return x;
}

// Calls f with the activation as a compile-time constant.
template <class F>
HWY_INLINE void with_activation(Activation activation, const F& f) {
  switch (activation) {
    case Activation::kNone:
      return f(std::integral_constant<Activation, Activation::kNone>());
    case Activation::kTanh:
      return f(std::integral_constant<Activation, Activation::kTanh>());
    case Activation::kSigmoid:
      return f(std::integral_constant<Activation, Activation::kSigmoid>());
    case Activation::kSilu:
      return f(std::integral_constant<Activation, Activation::kSilu>());
    case Activation::kReluSquared:
      return f(std::integral_constant<Activation, Activation::kReluSquared>());
  }
}

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard, once per target
