// SPDX-License-Identifier: Apache-2.0
// A backend that counts how often a block runs: every block calls one recurrence once.
#pragma once

#include "kernels/backend.h"

namespace fathom::test {

// Not const in spirit: one thread at a time reads and resets the count.
class CountingBackend final : public Backend {
 public:
  explicit CountingBackend(const Backend& to) : to_(to) {}

  size_t n_block_run() const { return n_recurrence_; }
  void reset() { n_recurrence_ = 0; }

  std::string_view name() const override { return to_.name(); }
  std::string description() const override { return to_.description(); }
  Compute operand_type(Compute c) const override { return to_.operand_type(c); }
  bool supports(Compute c) const override { return to_.supports(c); }
  bool rows_are_exact(Compute c) const override { return to_.rows_are_exact(c); }
  std::unique_ptr<PackedWeight> pack(ThreadPool& pool, const WeightRows& rows,
                                     Compute compute) const override {
    return to_.pack(pool, rows, compute);
  }
  void matmul(ThreadPool& pool, const Operand& x, const PackedWeight& w,
              const ProductOut& out) const override {
    to_.matmul(pool, x, w, out);
  }
  void convert(ThreadPool& pool, Matrix<const float> x, Activation activation,
               const Operand& out) const override {
    to_.convert(pool, x, activation, out);
  }
  void layer_norm(ThreadPool& pool, Matrix<const float> x, std::span<const float> weight,
                  std::span<const float> bias, float eps, Matrix<float> y) const override {
    to_.layer_norm(pool, x, weight, bias, eps, y);
  }
  void token_shift(ThreadPool& pool, const TokenShiftArgs& args) const override {
    to_.token_shift(pool, args);
  }
  void wkv4(ThreadPool& pool, const Wkv4Args& args) const override {
    ++n_recurrence_;
    to_.wkv4(pool, args);
  }
  void decay6(ThreadPool& pool, Matrix<float> d) const override { to_.decay6(pool, d); }
  void wkv6(ThreadPool& pool, const Wkv6Args& args) const override {
    ++n_recurrence_;
    to_.wkv6(pool, args);
  }
  void prepare7(ThreadPool& pool, const Prepare7Args& args) const override {
    to_.prepare7(pool, args);
  }
  void wkv7(ThreadPool& pool, const Wkv7Args& args) const override {
    ++n_recurrence_;
    to_.wkv7(pool, args);
  }
  void group_norm(ThreadPool& pool, const GroupNormArgs& args) const override {
    to_.group_norm(pool, args);
  }
  void gate(ThreadPool& pool, Matrix<const float> a, Activation activation, Matrix<const float> b,
            const Operand& out) const override {
    to_.gate(pool, a, activation, b, out);
  }
  void gated_add(ThreadPool& pool, Matrix<const float> r, Matrix<const float> y,
                 Matrix<float> x) const override {
    to_.gated_add(pool, r, y, x);
  }
  void add_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                std::span<const float> weight, Matrix<double> sum) const override {
    to_.add_rows(pool, x, offsets, weight, sum);
  }
  void max_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                Matrix<float> max) const override {
    to_.max_rows(pool, x, offsets, max);
  }

 private:
  const Backend& to_;
  mutable size_t n_recurrence_ = 0;
};

}  // namespace fathom::test
