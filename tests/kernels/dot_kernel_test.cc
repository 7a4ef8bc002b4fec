// SPDX-License-Identifier: Apache-2.0
// The dot kernels on packed panels: against plain sums, every row against itself among other rows,
// and the kernels for older CPUs beside the newest. CMakeLists.txt repeats it under each limit, so
// that each of them is the one in use once.
#include "kernels/cpu/dot_kernel.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/buffer.h"
#include "base/dtype.h"
#include "kernels/cpu/avx_vnni_kernel.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/widening_kernel.h"

namespace fathom::cpu::dot_kernel_test {
namespace {

// Left-hand operands and weights as integers, which bf16 holds exactly as well, or as any bf16 numbers.
struct Problem {
  Problem(Compute compute, size_t rows, size_t n_in, size_t n_out, bool integers)
      : compute(compute), rows(rows), n_in(n_in), n_out(n_out) {
    std::mt19937 random(static_cast<uint32_t>(rows * 7919 + n_in));
    std::normal_distribution<float> normal;
    std::uniform_int_distribution<int> integer(-128, 127);
    const auto draw = [&](std::vector<float>& values) {
      for (float& v : values) {
        v = integers ? static_cast<float>(integer(random)) : to_f32(to_bf16(normal(random)));
      }
    };
    draw(x);
    draw(w);
  }

  // (n, n_unit) units of the product's type, what is missing of a last unit zero.
  std::vector<uint32_t> units(const std::vector<float>& values, size_t n) const {
    const size_t per_unit = elements_per_unit(compute), n_unit = divide_up(n_in, per_unit);
    std::vector<uint32_t> packed(n * n_unit);
    for (size_t r = 0; r < n; ++r) {
      auto* to = reinterpret_cast<char*>(&packed[r * n_unit]);
      for (size_t k = 0; k < n_in; ++k) {
        const float v = values[r * n_in + k];
        if (compute == Compute::kInt8) {
          const auto i = static_cast<int8_t>(v);
          std::memcpy(to + k, &i, 1);
        } else {
          const BF16 b = to_bf16(v);
          std::memcpy(to + 2 * k, &b, 2);
        }
      }
    }
    return packed;
  }

  // The panel: blocks, then -128 Σ w for kInt8.
  void pack(Buffer<std::byte>& to) const {
    const size_t n_unit = divide_up(n_in, elements_per_unit(compute));
    const size_t padded = padded_units(compute, n_in), block = padded * kBlockCols * kUnitBytes;
    to.reserve_discard(n_out / kBlockCols * block + n_out * sizeof(int32_t));
    const std::vector<uint32_t> all = units(w, n_out);
    for (size_t b = 0; b < n_out / kBlockCols; ++b) {
      pack_block(all.data() + b * kBlockCols * n_unit, kBlockCols, n_unit, n_unit, padded,
                 to.data() + b * block);
    }
    auto* sums = reinterpret_cast<int32_t*>(to.data() + n_out / kBlockCols * block);
    for (size_t o = 0; o < n_out && compute == Compute::kInt8; ++o) {
      float sum = 0;
      for (size_t k = 0; k < n_in; ++k) sum += w[o * n_in + k];
      sums[o] = -128 * static_cast<int32_t>(sum);
    }
  }

  const int32_t* compensation(const Buffer<std::byte>& panel) const {
    if (compute != Compute::kInt8) return nullptr;
    const size_t block = padded_units(compute, n_in) * kBlockCols * kUnitBytes;
    return reinterpret_cast<const int32_t*>(panel.data() + n_out / kBlockCols * block);
  }

  // Left-hand operands without gaps.
  std::vector<std::byte> left() const {
    const size_t per_unit = elements_per_unit(compute), n_unit = divide_up(n_in, per_unit);
    const size_t row_bytes = n_in * kUnitBytes / per_unit;
    const std::vector<uint32_t> all = units(x, rows);
    std::vector<std::byte> bytes(rows * row_bytes);
    for (size_t r = 0; r < rows; ++r) {
      std::memcpy(bytes.data() + r * row_bytes, &all[r * n_unit], row_bytes);
    }
    return bytes;
  }

  Compute compute;
  size_t rows, n_in, n_out;
  std::vector<float> x = std::vector<float>(rows * n_in), w = std::vector<float>(n_out * n_in);
};

class DotKernel : public testing::TestWithParam<Compute> {
 protected:
  void SetUp() override {
    if (!has_dot_kernel(GetParam())) GTEST_SKIP() << "this CPU has no such instruction";
  }
};

constexpr size_t kRows[] = {1, 2, 3, 5, 6, 7, 8, 13, 25, 64, 128};
// Part of a unit, of a vector, of a block; more than one depth (1,024 of bf16, 2,048 of int8).
constexpr size_t kInputs[] = {1, 2, 3, 31, 64, 100, 1027, 2050, 4097};

TEST_P(DotKernel, IsTheSumOfProducts) {
  for (const size_t rows : kRows) {
    for (const size_t n_in : kInputs) {
      const Problem p(GetParam(), rows, n_in, rows == 5 ? 192 : 64, /*integers=*/true);
      Buffer<std::byte> panel;
      p.pack(panel);
      Buffer<int32_t> acc(rows * p.n_out);
      multiply_dot(p.compute, p.left().data(), rows, n_in, panel.data(), p.n_out,
                   p.compensation(panel), acc.data());
      for (size_t r = 0; r < rows; ++r) {
        for (size_t o = 0; o < p.n_out; o += 7) {
          double want = 0, size = 0;
          for (size_t k = 0; k < n_in; ++k) {
            const double product = double{p.x[r * n_in + k]} * p.w[o * n_in + k];
            want += product;
            size += std::abs(product);
          }
          const int32_t got = acc.data()[r * p.n_out + o];
          if (p.compute == Compute::kInt8) {
            ASSERT_EQ(got, want) << rows << " rows of " << n_in << ": row " << r << ", output "
                                 << o;
          } else {
            float f;
            std::memcpy(&f, &got, sizeof(f));
            ASSERT_NEAR(f, want, 1e-6 * size)
                << rows << " rows of " << n_in << ", " << r << ", " << o;
          }
        }
      }
    }
  }
}

TEST_P(DotKernel, ARowHasTheSameBitsAmongAnyNumberOfRows) {
  for (const size_t n_in : {size_t{100}, size_t{4097}}) {
    const Problem p(GetParam(), 128, n_in, 64, /*integers=*/false);
    Buffer<std::byte> panel;
    p.pack(panel);
    const std::vector<std::byte> x = p.left();
    const size_t row_bytes = n_in * kUnitBytes / elements_per_unit(p.compute);
    Buffer<int32_t> want(128 * 64), got(128 * 64);
    multiply_dot(p.compute, x.data(), 128, n_in, panel.data(), 64, p.compensation(panel),
                 want.data());
    for (const size_t rows : kRows) {
      const size_t first = 128 - rows;
      multiply_dot(p.compute, x.data() + first * row_bytes, rows, n_in, panel.data(), 64,
                   p.compensation(panel), got.data());
      EXPECT_EQ(std::memcmp(got.data(), want.data() + first * 64, rows * 64 * sizeof(int32_t)), 0)
          << rows << " rows of " << n_in;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Products, DotKernel, testing::Values(Compute::kBF16, Compute::kInt8),
                         [](const auto& info) { return std::string(name_of(info.param)); });

// Whole numbers: as large as they get, where vpmaddubsw would saturate, and of any size. The kernel for
// older CPUs and the one in use agree in every bit.
TEST(DotKernels, OfOlderCpusHaveTheSameIntegers) {
  if (!has_dot_kernel(Compute::kInt8)) GTEST_SKIP() << "this CPU has no int8 products";
  for (const bool largest : {false, true}) {
    for (const size_t rows : {1, 2, 3, 4, 5, 6, 7, 25, 70}) {
      for (const size_t n_in : {size_t{2}, size_t{63}, size_t{768}, size_t{2050}}) {
        Problem p(Compute::kInt8, rows, n_in, 128, /*integers=*/true);
        for (size_t i = 0; largest && i < p.x.size(); ++i) p.x[i] = i % 3 == 0 ? 127 : -128;
        for (size_t i = 0; largest && i < p.w.size(); ++i) p.w[i] = i % 2 == 0 ? -128 : 127;
        Buffer<std::byte> panel;
        p.pack(panel);
        const std::vector<std::byte> x = p.left();
        Buffer<int32_t> want(rows * p.n_out), got(rows * p.n_out);
        multiply_dot(p.compute, x.data(), rows, n_in, panel.data(), p.n_out, p.compensation(panel),
                     want.data());
        multiply_widening(p.compute, x.data(), rows, n_in, panel.data(), p.n_out, got.data());
        EXPECT_TRUE(std::ranges::equal(got.span(), want.span()))
            << "widening, " << rows << " rows of " << n_in;
        if (!has_avx_vnni_kernel()) continue;
        multiply_avx_vnni(x.data(), rows, n_in, panel.data(), p.n_out, p.compensation(panel),
                          got.data());
        EXPECT_TRUE(std::ranges::equal(got.span(), want.span()))
            << "AVX-VNNI, " << rows << " rows of " << n_in;
      }
    }
  }
}

// Each of Highway's instruction sets widens to the same bits, where it has fused multiply-adds.
TEST(DotKernels, WideningIsExactOnEveryTarget) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    for (const Compute compute : {Compute::kBF16, Compute::kInt8}) {
      for (const size_t rows : {1, 2, 3, 4, 5, 6, 7, 12}) {
        for (const size_t n_in : {size_t{1}, size_t{37}, size_t{600}, size_t{1100}}) {
          const Problem p(compute, rows, n_in, 64, /*integers=*/true);
          Buffer<std::byte> panel;
          p.pack(panel);
          Buffer<int32_t> acc(rows * 64);
          multiply_widening(compute, p.left().data(), rows, n_in, panel.data(), 64, acc.data());
          for (size_t i = 0; i < acc.size(); i += 5) {
            double want = 0, got = acc.data()[i];
            for (size_t k = 0; k < n_in; ++k)
              want += double{p.x[i / 64 * n_in + k]} * p.w[i % 64 * n_in + k];
            if (compute == Compute::kBF16) {
              float f;
              std::memcpy(&f, &acc.data()[i], sizeof(f));
              got = f;  // below 2^24 = 1,024 products of 2^14: exact
            }
            ASSERT_NEAR(got, want, n_in > 1024 && compute == Compute::kBF16 ? 16 : 0)
                << hwy::TargetName(target) << ", " << rows << " rows of " << n_in;
          }
        }
      }
    }
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(DotKernels, NoneInF32) { EXPECT_FALSE(has_dot_kernel(Compute::kF32)); }

}  // namespace
}  // namespace fathom::cpu::dot_kernel_test
