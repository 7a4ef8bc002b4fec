// SPDX-License-Identifier: Apache-2.0
// The CPU backend: every operator forwards to its function in kernels/cpu.
#include "kernels/backend.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/packed_weight.h"

namespace fathom {
namespace {

class CpuBackend final : public Backend {
 public:
  std::string_view name() const override { return "cpu"; }
  std::string description() const override {
    std::string text =
        "products: " + cpu::matmul_description() + "; the rest: Highway " + cpu::instruction_set();
    if (const auto limit = cpu::max_isa()) text.append("; FATHOM_MAX_ISA=").append(name_of(*limit));
    return text;
  }
  Compute operand_type(Compute compute) const override { return compute; }
  bool supports(Compute compute) const override { return cpu::supports(compute); }
  bool rows_are_exact(Compute) const override { return true; }  // nothing else is used

  std::unique_ptr<PackedWeight> pack(ThreadPool& pool, const WeightRows& rows,
                                     Compute compute) const override {
    return cpu::pack(pool, rows, compute);
  }
  std::string blob_layout() const override { return cpu::blob_layout(); }
  std::unique_ptr<PackedWeight> adopt(size_t n_out, size_t n_in, Compute compute,
                                      std::span<const std::byte> blob) const override {
    return std::make_unique<cpu::CpuWeight>(n_out, n_in, compute, blob);
  }
  void matmul(ThreadPool& pool, const Operand& x, const PackedWeight& w,
              const ProductOut& out) const override {
    cpu::matmul(pool, x, w, out);
  }
  void convert(ThreadPool& pool, Matrix<const float> x, Activation activation,
               const Operand& out) const override {
    cpu::convert(pool, x, activation, out);
  }
  void layer_norm(ThreadPool& pool, Matrix<const float> x, std::span<const float> weight,
                  std::span<const float> bias, float eps, Matrix<float> y) const override {
    cpu::layer_norm(pool, x, weight, bias, eps, y);
  }
  void token_shift(ThreadPool& pool, const TokenShiftArgs& args) const override {
    cpu::token_shift(pool, args);
  }
  void wkv4(ThreadPool& pool, const Wkv4Args& args) const override { cpu::wkv4(pool, args); }
  void decay6(ThreadPool& pool, Matrix<float> d) const override { cpu::decay6(pool, d); }
  void wkv6(ThreadPool& pool, const Wkv6Args& args) const override { cpu::wkv6(pool, args); }
  void prepare7(ThreadPool& pool, const Prepare7Args& args) const override {
    cpu::prepare7(pool, args);
  }
  void wkv7(ThreadPool& pool, const Wkv7Args& args) const override { cpu::wkv7(pool, args); }
  void group_norm(ThreadPool& pool, const GroupNormArgs& args) const override {
    cpu::group_norm(pool, args);
  }
  void gate(ThreadPool& pool, Matrix<const float> a, Activation activation, Matrix<const float> b,
            const Operand& out) const override {
    cpu::gate(pool, a, activation, b, out);
  }
  void gated_add(ThreadPool& pool, Matrix<const float> r, Matrix<const float> y,
                 Matrix<float> x) const override {
    cpu::gated_add(pool, r, y, x);
  }
  void row_products(ThreadPool& pool, Matrix<const float> x, Matrix<const float> w,
                    Matrix<float> y) const override {
    cpu::row_products(pool, x, w, y);
  }
  void add_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                std::span<const float> weight, Matrix<double> sum) const override {
    cpu::add_rows(pool, x, offsets, weight, sum);
  }
  void max_rows(ThreadPool& pool, Matrix<const float> x, std::span<const size_t> offsets,
                Matrix<float> max) const override {
    cpu::max_rows(pool, x, offsets, max);
  }
};

}  // namespace

const Backend& cpu_backend() {
  cpu::max_isa();  // before the first operator
  static const CpuBackend backend;
  return backend;
}

}  // namespace fathom
