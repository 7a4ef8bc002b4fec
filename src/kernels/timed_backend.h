// SPDX-License-Identifier: Apache-2.0
// TimedBackend: another backend with a clock on every operator, so that the product itself needs
// none. Results are the other backend's, bit for bit; packed weights pass through untouched.
//
// Use: open the model on it, run, read the tallies. One caller at a time (the pool that it hands on
// may have any number of threads); packing is not timed.
#pragma once

#include <array>
#include <chrono>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace fathom {

enum class Operator : uint8_t {
  kMatmul,
  kConvert,
  kLayerNorm,
  kTokenShift,
  kWkv4,
  kDecay6,
  kWkv6,
  kPrepare7,
  kWkv7,
  kGroupNorm,
  kGate,
  kGatedAdd,
  kRowProducts,
  kAddRows,
  kMaxRows,
};
inline constexpr size_t kOperatorCount = static_cast<size_t>(Operator::kMaxRows) + 1;
std::string_view name_of(Operator op);  // as the function of Backend

enum class Part : uint8_t {
  kProducts,  // with their bias, activation and the writing of their result
  kWkv,       // the recurrences
  kMixing,    // norms, token shift, and everything elementwise
  kPooling,
};
inline constexpr size_t kPartCount = static_cast<size_t>(Part::kPooling) + 1;
std::string_view name_of(Part part);  // "products", "wkv", "norms_and_mixing", "pooling"
Part part_of(Operator op);

// One call of matmul.
struct ProductCall {
  const PackedWeight* weight = nullptr;
  size_t rows = 0;
  double seconds = 0;

  // A multiply-add counts as two; padded and compensated rows do not count.
  uint64_t flop() const { return uint64_t{2} * rows * weight->n_in * weight->n_out; }
};

class TimedBackend : public Backend {
 public:
  struct Tally {
    size_t n_call = 0;
    double seconds = 0;
  };
  using Tallies = std::array<Tally, kOperatorCount>;  // by Operator

  // `to` must outlive this.
  explicit TimedBackend(const Backend& to) : to_(to) {}

  // Since the last reset. Product calls are in their order.
  const Tallies& tallies() const { return tallies_; }
  const std::vector<ProductCall>& products() const { return products_; }
  void reset();

  const Backend& inner() const { return to_; }

  std::string_view name() const override { return to_.name(); }
  std::string description() const override { return to_.description(); }
  Compute operand_type(Compute c) const override { return to_.operand_type(c); }
  bool supports(Compute c) const override { return to_.supports(c); }
  bool rows_are_exact(Compute c) const override { return to_.rows_are_exact(c); }
  std::unique_ptr<PackedWeight> pack(ThreadPool& pool, const WeightRows& rows,
                                     Compute compute) const override {
    return to_.pack(pool, rows, compute);
  }
  std::string blob_layout() const override { return to_.blob_layout(); }
  std::unique_ptr<PackedWeight> adopt(size_t n_out, size_t n_in, Compute compute,
                                      std::span<const std::byte> blob) const override {
    return to_.adopt(n_out, n_in, compute, blob);
  }

  void matmul(ThreadPool& pool, const Operand& x, const PackedWeight& w,
              const ProductOut& out) const override;
  void convert(ThreadPool& pool, Matrix<const float> x, Activation activation,
               const Operand& out) const override;
  void layer_norm(ThreadPool& pool, Matrix<const float> x, std::span<const float> weight,
                  std::span<const float> bias, float eps, Matrix<float> y) const override;
  void token_shift(ThreadPool& pool, const TokenShiftArgs& args) const override;
  void wkv4(ThreadPool& pool, const Wkv4Args& args) const override;
  void decay6(ThreadPool& pool, Matrix<float> d) const override;
  void wkv6(ThreadPool& pool, const Wkv6Args& args) const override;
  void prepare7(ThreadPool& pool, const Prepare7Args& args) const override;
  void wkv7(ThreadPool& pool, const Wkv7Args& args) const override;
  void group_norm(ThreadPool& pool, const GroupNormArgs& args) const override;
  void gate(ThreadPool& pool, Matrix<const float> a, Activation activation, Matrix<const float> b,
            const Operand& out) const override;
  void gated_add(ThreadPool& pool, Matrix<const float> r, Matrix<const float> y,
                 Matrix<float> x) const override;
  void row_products(ThreadPool& pool, Matrix<const float> x, Matrix<const float> w,
                    Matrix<float> y) const override;
  void add_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                std::span<const float> weight, Matrix<double> sum) const override;
  void max_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                Matrix<float> max) const override;

 private:
  using Clock = std::chrono::steady_clock;

  // Runs `work` as one call of `op`; the seconds that it took.
  template <class Work>
  double timed(Operator op, const Work& work) const {
    const Clock::time_point begin = Clock::now();
    work();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    Tally& tally = tallies_[static_cast<size_t>(op)];
    ++tally.n_call;
    tally.seconds += seconds;
    return seconds;
  }

  const Backend& to_;
  // What is measured is no part of what a backend computes: its operators are const.
  mutable Tallies tallies_{};
  mutable std::vector<ProductCall> products_;
};

}  // namespace fathom
