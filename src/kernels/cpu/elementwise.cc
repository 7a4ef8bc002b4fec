// SPDX-License-Identifier: Apache-2.0
// Operators that treat every number alike: activations, gates, the decay of v6, the small products
// of v7a. All are bound by memory but decay6, which computes two exponentials a number.
#include "kernels/cpu/ops.h"
#include "kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/elementwise.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fathom::cpu::HWY_NAMESPACE {

void convert_rows(Matrix<const float> x, Activation activation, const Operand& out, size_t begin,
                  size_t end) {
  const Buffer<float> scratch = operand_scratch(out);
  with_activation(activation, [&](auto constant) HWY_ATTR {
    for (size_t t = begin; t < end; ++t) {
      const float* from = x.row(t).data();
      const OperandRow to(out, t, scratch.data());
      for_each_vector(x.cols(), [&](auto io, size_t c) HWY_ATTR {
        to.put(io, activate<decltype(constant)::value>(F32(), io.load(from + c)), c);
      });
      to.finish();
    }
  });
}

void gate_rows(Matrix<const float> a, Activation activation, Matrix<const float> b,
               const Operand& out, size_t begin, size_t end) {
  const Buffer<float> scratch = operand_scratch(out);
  with_activation(activation, [&](auto constant) HWY_ATTR {
    for (size_t t = begin; t < end; ++t) {
      const float* at = a.row(t).data();
      const float* bt = b.row(t).data();
      const OperandRow to(out, t, scratch.data());
      for_each_vector(a.cols(), [&](auto io, size_t c) HWY_ATTR {
        const VF open = activate<decltype(constant)::value>(F32(), io.load(at + c));
        to.put(io, hn::Mul(open, io.load(bt + c)), c);
      });
      to.finish();
    }
  });
}

void gated_add_rows(Matrix<const float> r, Matrix<const float> y, Matrix<float> x, size_t begin,
                    size_t end) {
  for (size_t t = begin; t < end; ++t) {
    const float* rt = r.row(t).data();
    const float* yt = y.row(t).data();
    float* xt = x.row(t).data();
    for_each_vector(x.cols(), [&](auto io, size_t c) HWY_ATTR {
      const VF open = sigmoid_of(F32(), io.load(rt + c));
      io.store(hn::MulAdd(open, io.load(yt + c), io.load(xt + c)), xt + c);
    });
  }
}

void decay6_rows(Matrix<float> d, size_t begin, size_t end) {
  for (size_t t = begin; t < end; ++t) {
    float* dt = d.row(t).data();
    for_each_vector(d.cols(), [&](auto io, size_t c) HWY_ATTR {
      io.store(exp_of_minus_exp(F32(), io.load(dt + c)), dt + c);
    });
  }
}

// Every sum in the order of i, so that it does not depend on the width of a vector.
void row_products_rows(Matrix<const float> x, Matrix<const float> w, Matrix<float> y, size_t begin,
                       size_t end) {
  const size_t n_in = x.cols(), n_out = y.cols();
  for (size_t t = begin; t < end; ++t) {
    const float* xt = x.row(t).data();
    const float* wt = w.row(t).data();
    float* yt = y.row(t).data();
    for_each_vector(n_out, [&](auto io, size_t o) HWY_ATTR {
      VF sum = hn::Zero(F32());
      for (size_t i = 0; i < n_in; ++i)
        sum = hn::MulAdd(hn::Set(F32(), xt[i]), io.load(wt + i * n_out + o), sum);
      io.store(sum, yt + o);
    });
  }
}

std::string target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace fathom::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fathom::cpu {

HWY_EXPORT(convert_rows);
HWY_EXPORT(gate_rows);
HWY_EXPORT(gated_add_rows);
HWY_EXPORT(decay6_rows);
HWY_EXPORT(row_products_rows);
HWY_EXPORT(target_name);

void convert(ThreadPool& pool, Matrix<const float> x, Activation activation, const Operand& out) {
  FATHOM_ASSERT(out.rows == x.rows() && out.cols == x.cols() && out.stride >= out.cols);
  for_rows(pool, x.rows(), x.cols(), [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(convert_rows)(x, activation, out, begin, end);
  });
}

void gate(ThreadPool& pool, Matrix<const float> a, Activation activation, Matrix<const float> b,
          const Operand& out) {
  FATHOM_ASSERT(a.rows() == b.rows() && a.cols() == b.cols());
  FATHOM_ASSERT(out.rows == a.rows() && out.cols == a.cols() && out.stride >= out.cols);
  for_rows(pool, a.rows(), 2 * a.cols(), [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(gate_rows)(a, activation, b, out, begin, end);
  });
}

void gated_add(ThreadPool& pool, Matrix<const float> r, Matrix<const float> y, Matrix<float> x) {
  FATHOM_ASSERT(r.rows() == x.rows() && r.cols() == x.cols());
  FATHOM_ASSERT(y.rows() == x.rows() && y.cols() == x.cols());
  for_rows(pool, x.rows(), 3 * x.cols(), [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(gated_add_rows)(r, y, x, begin, end);
  });
}

void decay6(ThreadPool& pool, Matrix<float> d) {
  for_rows(pool, d.rows(), 2 * d.cols(), [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(decay6_rows)(d, begin, end);
  });
}

void row_products(ThreadPool& pool, Matrix<const float> x, Matrix<const float> w, Matrix<float> y) {
  FATHOM_ASSERT(x.rows() == y.rows() && w.rows() == y.rows());
  FATHOM_ASSERT(w.cols() == x.cols() * y.cols());
  for_rows(pool, y.rows(), w.cols(), [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(row_products_rows)(x, w, y, begin, end);
  });
}

std::string instruction_set() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

}  // namespace fathom::cpu
#endif  // HWY_ONCE
