// SPDX-License-Identifier: Apache-2.0
#include "kernels/timed_backend.h"

#include <iterator>

#include "base/error.h"

namespace fathom {
namespace {

struct OperatorRow {
  Operator op;
  std::string_view name;
  Part part;
};
constexpr OperatorRow kOperators[] = {
    {Operator::kMatmul, "matmul", Part::kProducts},
    {Operator::kConvert, "convert", Part::kMixing},
    {Operator::kLayerNorm, "layer_norm", Part::kMixing},
    {Operator::kTokenShift, "token_shift", Part::kMixing},
    {Operator::kWkv4, "wkv4", Part::kWkv},
    {Operator::kDecay6, "decay6", Part::kMixing},
    {Operator::kWkv6, "wkv6", Part::kWkv},
    {Operator::kPrepare7, "prepare7", Part::kMixing},
    {Operator::kWkv7, "wkv7", Part::kWkv},
    {Operator::kGroupNorm, "group_norm", Part::kMixing},
    {Operator::kGate, "gate", Part::kMixing},
    {Operator::kGatedAdd, "gated_add", Part::kMixing},
    {Operator::kRowProducts, "row_products", Part::kMixing},
    {Operator::kAddRows, "add_rows", Part::kPooling},
    {Operator::kMaxRows, "max_rows", Part::kPooling},
};
static_assert(std::size(kOperators) == kOperatorCount);

const OperatorRow& row_of(Operator op) {
  const OperatorRow& row = kOperators[static_cast<size_t>(op)];
  FATHOM_ASSERT(row.op == op);
  return row;
}

}  // namespace

std::string_view name_of(Operator op) { return row_of(op).name; }
Part part_of(Operator op) { return row_of(op).part; }

std::string_view name_of(Part part) {
  switch (part) {
    case Part::kProducts:
      return "products";
    case Part::kWkv:
      return "wkv";
    case Part::kMixing:
      return "norms_and_mixing";
    case Part::kPooling:
      return "pooling";
  }
  FATHOM_ASSERT(!"unknown Part");
}

void TimedBackend::reset() {
  tallies_ = {};
  products_.clear();
}

void TimedBackend::matmul(ThreadPool& pool, const Operand& x, const PackedWeight& w,
                          const ProductOut& out) const {
  const double seconds = timed(Operator::kMatmul, [&] { to_.matmul(pool, x, w, out); });
  products_.push_back({&w, x.rows, seconds});
}

void TimedBackend::convert(ThreadPool& pool, Matrix<const float> x, Activation activation,
                           const Operand& out) const {
  timed(Operator::kConvert, [&] { to_.convert(pool, x, activation, out); });
}

void TimedBackend::layer_norm(ThreadPool& pool, Matrix<const float> x,
                              std::span<const float> weight, std::span<const float> bias, float eps,
                              Matrix<float> y) const {
  timed(Operator::kLayerNorm, [&] { to_.layer_norm(pool, x, weight, bias, eps, y); });
}

void TimedBackend::token_shift(ThreadPool& pool, const TokenShiftArgs& args) const {
  timed(Operator::kTokenShift, [&] { to_.token_shift(pool, args); });
}

void TimedBackend::wkv4(ThreadPool& pool, const Wkv4Args& args) const {
  timed(Operator::kWkv4, [&] { to_.wkv4(pool, args); });
}

void TimedBackend::decay6(ThreadPool& pool, Matrix<float> d) const {
  timed(Operator::kDecay6, [&] { to_.decay6(pool, d); });
}

void TimedBackend::wkv6(ThreadPool& pool, const Wkv6Args& args) const {
  timed(Operator::kWkv6, [&] { to_.wkv6(pool, args); });
}

void TimedBackend::prepare7(ThreadPool& pool, const Prepare7Args& args) const {
  timed(Operator::kPrepare7, [&] { to_.prepare7(pool, args); });
}

void TimedBackend::wkv7(ThreadPool& pool, const Wkv7Args& args) const {
  timed(Operator::kWkv7, [&] { to_.wkv7(pool, args); });
}

void TimedBackend::group_norm(ThreadPool& pool, const GroupNormArgs& args) const {
  timed(Operator::kGroupNorm, [&] { to_.group_norm(pool, args); });
}

void TimedBackend::gate(ThreadPool& pool, Matrix<const float> a, Activation activation,
                        Matrix<const float> b, const Operand& out) const {
  timed(Operator::kGate, [&] { to_.gate(pool, a, activation, b, out); });
}

void TimedBackend::gated_add(ThreadPool& pool, Matrix<const float> r, Matrix<const float> y,
                             Matrix<float> x) const {
  timed(Operator::kGatedAdd, [&] { to_.gated_add(pool, r, y, x); });
}

void TimedBackend::row_products(ThreadPool& pool, Matrix<const float> x, Matrix<const float> w,
                                Matrix<float> y) const {
  timed(Operator::kRowProducts, [&] { to_.row_products(pool, x, w, y); });
}

void TimedBackend::add_rows(ThreadPool& pool, Matrix<const float> x,
                            std::span<const size_t> offsets, std::span<const float> weight,
                            Matrix<double> sum) const {
  timed(Operator::kAddRows, [&] { to_.add_rows(pool, x, offsets, weight, sum); });
}

void TimedBackend::max_rows(ThreadPool& pool, Matrix<const float> x,
                            std::span<const size_t> offsets, Matrix<float> max) const {
  timed(Operator::kMaxRows, [&] { to_.max_rows(pool, x, offsets, max); });
}

}  // namespace fathom
