// SPDX-License-Identifier: Apache-2.0
// Products of the CPU backend. CMakeLists.txt runs them once more under older instruction sets, each
// in a process of its own, since the limit is read once.
#include "kernels/cpu/matmul.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "base/dtype.h"
#include "base/error.h"
#include "kernels/backend.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/widening_kernel.h"

namespace fathom::matmul_test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<Compute> supported() {
  std::vector<Compute> all;
  for (Compute c : {Compute::kF32, Compute::kBF16, Compute::kInt8}) {
    if (cpu_backend().supports(c)) all.push_back(c);
  }
  return all;
}

std::vector<float> random_floats(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

// (rows, cols) of small integers with one 127 a row: exact in every type, int8 then has scale 1.
std::vector<float> small_integers(size_t rows, size_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> small(-3, 3);
  std::vector<float> x(rows * cols);
  for (float& v : x) v = static_cast<float>(small(random));
  for (size_t r = 0; r < rows; ++r) x[r * cols + random() % cols] = 127;
  return x;
}

WeightRows weight_rows(const std::vector<float>& w, size_t n_out, size_t n_in) {
  return {n_out, n_in, [&w, n_in](size_t begin, size_t end, float* out) {
            std::copy(w.begin() + begin * n_in, w.begin() + end * n_in, out);
          }};
}

std::unique_ptr<PackedWeight> pack(const std::vector<float>& w, size_t n_out, size_t n_in,
                                   Compute compute) {
  ThreadPool pool(2);
  return cpu_backend().pack(pool, weight_rows(w, n_out, n_in), compute);
}

// An operand with its memory: padded rows, and NaN or 127 wherever nothing belongs.
class OwnedOperand {
 public:
  OwnedOperand(Compute type, size_t rows, size_t cols, size_t stride)
      : bytes_(padded_rows(rows) * stride * 4), scale_(padded_rows(rows)) {
    std::ranges::fill(bytes_.span(), std::byte{0x7f});  // bf16 and f32: 3.4e38 or so
    std::ranges::fill(scale_.span(), kNaN);
    operand_ = {type, bytes_.data(), type == Compute::kInt8 ? scale_.data() : nullptr,
                rows, cols,          stride};
  }
  // x: (rows, cols)
  OwnedOperand(Compute type, const std::vector<float>& x, size_t cols, size_t stride = 0)
      : OwnedOperand(type, x.size() / cols, cols, std::max(stride, cols)) {
    ThreadPool pool(1);
    cpu_backend().convert(pool, {x.data(), x.size() / cols, cols}, Activation::kNone, operand_);
  }
  operator const Operand&() const { return operand_; }

  float value(size_t row, size_t col) const {
    const size_t at = row * operand_.stride + col;
    switch (operand_.type) {
      case Compute::kF32:
        return static_cast<const float*>(operand_.data)[at];
      case Compute::kBF16:
        return to_f32(static_cast<const BF16*>(operand_.data)[at]);
      case Compute::kInt8:
        return operand_.scale[row] *
               static_cast<float>(static_cast<const int8_t*>(operand_.data)[at]);
    }
    return kNaN;
  }
  std::vector<std::byte> bytes() const { return {bytes_.data(), bytes_.data() + bytes_.size()}; }

 private:
  Buffer<std::byte> bytes_;
  Buffer<float> scale_;
  Operand operand_;
};

// Rows [begin, end), what a batch with another start would hold. The rows after them stay in reach.
Operand rows_of(const Operand& x, size_t begin, size_t end) {
  const size_t bytes = x.type == Compute::kF32 ? 4 : x.type == Compute::kBF16 ? 2 : 1;
  Operand part = x;
  part.data = static_cast<std::byte*>(x.data) + begin * x.stride * bytes;
  if (x.scale != nullptr) part.scale = x.scale + begin;
  part.rows = end - begin;
  return part;
}

// y, (x.rows, n_out), NaN before.
std::vector<float> multiply(ThreadPool& pool, const Operand& x, const PackedWeight& w,
                            ProductOut out = {}) {
  std::vector<float> y(padded_rows(x.rows) * w.n_out, kNaN);
  out.y = {y.data(), x.rows, w.n_out};
  cpu_backend().matmul(pool, x, w, out);
  y.resize(x.rows * w.n_out);
  return y;
}

struct Shape {
  size_t n_in, n_out;
};
// LoRA ranks, odd widths, one block, several blocks, several panels of each width.
const Shape kOddShapes[] = {{1, 1},     {3, 1},    {3, 37},   {4, 64}, {5, 65},
                            {16, 16},   {31, 129}, {37, 100}, {64, 7}, {100, 512},
                            {96, 1030}, {160, 64}, {24, 4100}};

double exact(const std::vector<float>& x, const std::vector<float>& w, size_t n_in, size_t row,
             size_t col) {
  double sum = 0;
  for (size_t k = 0; k < n_in; ++k) sum += double{x[row * n_in + k]} * w[col * n_in + k];
  return sum;
}

TEST(Matmul, SmallIntegersAreExact) {
  ThreadPool pool(2);
  for (Compute compute : supported()) {
    for (const auto& [n_in, n_out] : kOddShapes) {
      const auto w = small_integers(n_out, n_in, 1);
      const auto packed = pack(w, n_out, n_in, compute);
      for (size_t rows : {1, 5, 16, 33, 130}) {
        const auto x = small_integers(rows, n_in, 2);
        const auto y = multiply(pool, OwnedOperand(compute, x, n_in), *packed);
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_EQ(y[i], exact(x, w, n_in, i / n_out, i % n_out))
              << name_of(compute) << " " << n_in << "x" << n_out << ", " << rows << " rows, at "
              << i;
        }
      }
    }
  }
}

TEST(Matmul, RandomNumbersAgreeWithSumsInDouble) {
  ThreadPool pool(2);
  for (Compute compute : supported()) {
    for (const auto& [n_in, n_out] : {Shape{37, 100}, Shape{768, 200}, Shape{2048, 70}}) {
      const auto w = random_floats(n_in * n_out, 3);
      const auto packed = pack(w, n_out, n_in, compute);
      const OwnedOperand w_rounded(compute, w, n_in);
      const OwnedOperand x(compute, random_floats(19 * n_in, 4), n_in);
      const auto y = multiply(pool, x, *packed);
      for (size_t i = 0; i < y.size(); ++i) {
        double want = 0, size = 0;
        for (size_t k = 0; k < n_in; ++k) {
          const double product = double{x.value(i / n_out, k)} * w_rounded.value(i % n_out, k);
          want += product;
          size += std::abs(product);
        }
        // Sums in f32 lose about sqrt(n) half-units; the integers of int8 lose nothing.
        ASSERT_NEAR(y[i], want, 3e-7 * size) << name_of(compute) << " " << n_in << "x" << n_out;
      }
    }
  }
}

TEST(Matmul, AddsToWhatIsThere) {
  ThreadPool pool(2);
  for (Compute compute : supported()) {
    const size_t n_in = 40, n_out = 150, rows = 21;
    const auto w = small_integers(n_out, n_in, 5), x = small_integers(rows, n_in, 6);
    const auto packed = pack(w, n_out, n_in, compute);
    std::vector<float> y(padded_rows(rows) * n_out);
    for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(i % 1000);
    cpu_backend().matmul(pool, OwnedOperand(compute, x, n_in), *packed,
                         {.y = {y.data(), rows, n_out}, .accumulate = true});
    for (size_t i = 0; i < rows * n_out; ++i) {
      ASSERT_EQ(y[i], i % 1000 + exact(x, w, n_in, i / n_out, i % n_out)) << name_of(compute);
    }
  }
}

double apply(Activation activation, double x) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kReluSquared:
      return x > 0 ? x * x : 0;
  }
  return kNaN;
}

constexpr Activation kActivations[] = {Activation::kNone, Activation::kTanh, Activation::kSigmoid,
                                       Activation::kSilu, Activation::kReluSquared};

TEST(Matmul, BiasAndActivation) {
  ThreadPool pool(2);
  const size_t n_in = 24, n_out = 77, rows = 18;
  auto w = random_floats(n_out * n_in, 7);
  const auto bias = random_floats(n_out, 8);
  for (Compute compute : supported()) {
    const auto packed = pack(w, n_out, n_in, compute);
    const OwnedOperand x(compute, random_floats(rows * n_in, 9), n_in);
    const auto plain = multiply(pool, x, *packed);
    for (Activation activation : kActivations) {
      for (bool with_bias : {false, true}) {
        ProductOut out{.activation = activation};
        if (with_bias) out.bias = bias;
        const auto y = multiply(pool, x, *packed, out);
        for (size_t i = 0; i < y.size(); ++i) {
          const float sum = with_bias ? plain[i] + bias[i % n_out] : plain[i];
          const double want = apply(activation, sum);
          ASSERT_NEAR(y[i], want, 5e-7 * std::abs(want))
              << name_of(compute) << ", activation " << static_cast<int>(activation);
        }
      }
    }
  }
}

// What a following product reads is the f32 result, converted; nothing else is touched.
TEST(Matmul, WritesTheNextLeftSide) {
  ThreadPool pool(3);
  const size_t n_in = 33, n_out = 200, rows = 45, stride = 213;
  const auto w = random_floats(n_out * n_in, 10), bias = random_floats(n_out, 11);
  for (Compute compute : supported()) {
    const auto packed = pack(w, n_out, n_in, compute);
    const OwnedOperand x(compute, random_floats(rows * n_in, 12), n_in);
    for (Activation activation : kActivations) {
      ProductOut out{.bias = bias, .activation = activation};
      const auto y = multiply(pool, x, *packed, out);
      for (Compute next : {Compute::kF32, Compute::kBF16, Compute::kInt8}) {
        const OwnedOperand want(next, y, n_out, stride);
        const OwnedOperand got(next, rows, n_out, stride);
        out.next = got;
        cpu_backend().matmul(pool, x, *packed, out);
        EXPECT_EQ(got.bytes(), want.bytes()) << name_of(compute) << " to " << name_of(next);
        for (size_t r = 0; next == Compute::kInt8 && r < rows; ++r) {
          EXPECT_EQ(out.next.scale[r], static_cast<const Operand&>(want).scale[r]);
        }
      }
    }
  }
}

TEST(Matmul, NextLeftSideInInt8OfManyRows) {
  ThreadPool pool(2);
  const size_t n_in = 8, n_out = 70, rows = 1100;  // more than one piece
  const auto w = random_floats(n_out * n_in, 13);
  const auto packed = pack(w, n_out, n_in, Compute::kF32);
  const OwnedOperand x(Compute::kF32, random_floats(rows * n_in, 14), n_in);
  const OwnedOperand want(Compute::kInt8, multiply(pool, x, *packed), n_out);
  const OwnedOperand got(Compute::kInt8, rows, n_out, n_out);
  cpu_backend().matmul(pool, x, *packed, {.next = got});
  EXPECT_EQ(got.bytes(), want.bytes());
}

TEST(Matmul, LeftSideMayHaveGaps) {
  ThreadPool pool(2);
  for (Compute compute : supported()) {
    for (size_t n_in : {3, 32, 129}) {
      const size_t n_out = 90, rows = 50;
      const auto packed = pack(random_floats(n_out * n_in, 15), n_out, n_in, compute);
      const auto x = random_floats(rows * n_in, 16);
      const auto want = multiply(pool, OwnedOperand(compute, x, n_in), *packed);
      for (size_t gap : {1, 13, 400}) {
        const auto got = multiply(pool, OwnedOperand(compute, x, n_in, n_in + gap), *packed);
        EXPECT_EQ(got, want) << name_of(compute) << " " << n_in << " + " << gap;
      }
    }
  }
}

// Whole rows of sums may be written without a detour: then nothing behind them is touched, and a bias of
// zero, which takes the detour, changes no bit.
TEST(Matmul, WritesWholeRowsAndNothingBehindThem) {
  ThreadPool pool(2);
  for (const auto& [n_in, n_out] : {Shape{192, 192}, Shape{40, 64}, Shape{40, 80}, Shape{1, 32}}) {
    const auto packed = pack(random_floats(n_out * n_in, 40), n_out, n_in, Compute::kF32);
    const std::vector<float> none(n_out);
    for (const size_t rows : {1, 4, 30, 128, 131, 300}) {
      const OwnedOperand x(Compute::kF32, random_floats(rows * n_in, 41), n_in);
      Buffer<float> y((rows + 1) * n_out), want(y.size());
      std::ranges::fill(y.span(), 7.0f);
      cpu_backend().matmul(pool, x, *packed, {.y = {y.data(), rows, n_out}});
      cpu_backend().matmul(pool, x, *packed, {.y = {want.data(), rows, n_out}, .bias = none});
      for (size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y.span()[i], i < rows * n_out ? want.span()[i] : 7.0f)
            << n_in << "x" << n_out << ", " << rows << " rows, at " << i;
      }
    }
  }
}

TEST(Matmul, NoRowsNothingDone) {
  ThreadPool pool(2);
  for (Compute compute : supported()) {
    const auto packed = pack(random_floats(6, 17), 2, 3, compute);
    const OwnedOperand x(compute, 0, 3, 3);
    float y = kNaN;
    cpu_backend().matmul(pool, x, *packed, {.y = {&y, 0, 2}});
    EXPECT_TRUE(std::isnan(y));
  }
}

// The promise that batching rests on: a row's bits do not depend on the number of rows, on its
// place among them or on the team.
void expect_rows_alone(Compute compute, Shape shape, std::span<const size_t> row_counts) {
  constexpr size_t kRows = 600;
  const auto [n_in, n_out] = shape;
  const auto packed = pack(random_floats(n_in * n_out, 18), n_out, n_in, compute);
  const OwnedOperand owned(compute, random_floats(kRows * n_in, 19), n_in);
  const Operand& x = owned;
  ThreadPool pools[] = {ThreadPool(1), ThreadPool(2), ThreadPool(3), ThreadPool(5)};
  // Mostly one thread: teams larger than the machine are slow where others work on it, too.
  const size_t pool_of[] = {0, 1, 0, 0, 2, 0, 0, 3, 0, 1, 0};
  const auto all = multiply(pools[0], x, *packed);
  for (size_t i = 0; i < row_counts.size(); ++i) {
    const size_t rows = row_counts[i];
    ASSERT_LE(rows, kRows);
    // Any place that leaves the padding inside the operand.
    const size_t begin = (i * 37) % (padded_rows(kRows) - padded_rows(rows) + 1);
    if (begin + rows > kRows) continue;
    ThreadPool& pool = pools[pool_of[i % std::size(pool_of)]];
    const auto y = multiply(pool, rows_of(x, begin, begin + rows), *packed);
    ASSERT_EQ(std::memcmp(y.data(), all.data() + begin * n_out, y.size() * sizeof(float)), 0)
        << name_of(compute) << " " << n_in << "x" << n_out << ", rows " << begin << " + " << rows
        << ", " << pool.size() << " threads";
  }
}

TEST(Matmul, EveryRowStandsAlone) {
  std::vector<size_t> every(600);
  for (size_t i = 0; i < every.size(); ++i) every[i] = i + 1;
  for (Compute compute : supported()) {
    for (const Shape shape : kOddShapes) {
      if (shape.n_in * shape.n_out < 20000) expect_rows_alone(compute, shape, every);
    }
  }
}

TEST(Matmul, EveryRowStandsAloneInLargeProducts) {
  const size_t rows[] = {1,   2,   15,  16,  17,  25,  31,  32,  33,  48,  63,  64,  65,  80, 96,
                         100, 112, 127, 128, 129, 130, 144, 200, 255, 256, 257, 384, 500, 600};
  for (Compute compute : supported()) {
    for (const Shape shape : {Shape{768, 768}, Shape{2048, 160}, Shape{1500, 333}, Shape{96, 1030},
                              Shape{24, 4100}, Shape{7168, 96}}) {
      expect_rows_alone(compute, shape, rows);
    }
  }
}

TEST(Matmul, BadRowsStayBad) {
  ThreadPool pool(2);
  const float infinity = std::numeric_limits<float>::infinity();
  for (Compute compute : supported()) {
    for (size_t n_in : {3, 37, 64}) {
      const size_t n_out = 70, rows = 20;
      const auto packed = pack(random_floats(n_in * n_out, 20), n_out, n_in, compute);
      auto x = random_floats(rows * n_in, 21);
      const auto want = multiply(pool, OwnedOperand(compute, x, n_in), *packed);
      x[4 * n_in] = kNaN;
      x[9 * n_in + n_in - 1] = infinity;
      const auto got = multiply(pool, OwnedOperand(compute, x, n_in), *packed);
      for (size_t i = 0; i < got.size(); ++i) {
        const size_t row = i / n_out;
        if (row == 4 || row == 9) {
          ASSERT_FALSE(std::isfinite(got[i])) << name_of(compute) << " row " << row;
        } else {
          ASSERT_EQ(got[i], want[i]) << name_of(compute) << " " << n_in << ", row " << row;
        }
      }
    }
  }
}

TEST(Matmul, ThreadsShareWeightsEachWithItsPool) {
  const size_t n_in = 72, n_out = 200, rows = 40;  // a shape of its own: primitives are made here
  for (Compute compute : supported()) {
    const auto packed = pack(random_floats(n_in * n_out, 22), n_out, n_in, compute);
    const OwnedOperand x(compute, random_floats(rows * n_in, 23), n_in);
    std::vector<std::vector<float>> y(3);
    std::vector<std::thread> threads;
    for (auto& result : y) {
      threads.emplace_back([&] {
        ThreadPool pool(2);
        result = multiply(pool, x, *packed);
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(y[0], y[1]);
    EXPECT_EQ(y[0], y[2]);
  }
}

TEST(Pack, ReadsEveryRowOnceAndHoldsOneCopy) {
  ThreadPool pool(2);
  for (Compute compute : supported()) {
    const size_t n_out = 2500, n_in = 1024;
    std::vector<std::atomic<int>> count(n_out);
    const WeightRows rows{n_out, n_in, [&](size_t begin, size_t end, float* out) {
                            for (size_t r = begin; r < end; ++r) ++count[r];
                            std::fill_n(out, (end - begin) * n_in, 1.0f);
                          }};
    const auto packed = cpu_backend().pack(pool, rows, compute);
    for (const auto& n : count) ASSERT_EQ(n, 1);
    EXPECT_EQ(packed->n_out, n_out);
    EXPECT_EQ(packed->n_in, n_in);
    EXPECT_EQ(packed->compute, compute);
    const size_t element = compute == Compute::kF32 ? 4 : compute == Compute::kBF16 ? 2 : 1;
    EXPECT_GE(packed->bytes, n_out * n_in * element);
    EXPECT_LE(packed->bytes, n_out * n_in * element * 106 / 100) << name_of(compute);
  }
}

TEST(Pack, ErrorOfTheSourceReachesTheCaller) {
  ThreadPool pool(2);
  const WeightRows rows{500, 8, [](size_t begin, size_t, float* out) {
                          std::fill_n(out, 64 * 8, 0.0f);
                          if (begin >= 256) throw Error("truncated");
                        }};
  EXPECT_THROW(cpu_backend().pack(pool, rows, Compute::kF32), Error);
}

TEST(Pack, RefusesWhatTheProcessorCannot) {
  ThreadPool pool(1);
  for (Compute compute : {Compute::kBF16, Compute::kInt8}) {
    if (cpu_backend().supports(compute)) continue;
    const std::vector<float> w(64 * 64);
    EXPECT_THROW(cpu_backend().pack(pool, weight_rows(w, 64, 64), compute), Error);
  }
  EXPECT_TRUE(cpu_backend().supports(Compute::kF32));
  EXPECT_TRUE(cpu_backend().rows_are_exact(Compute::kF32));
}

// ------------------------------------------------------ the vector code, on every instruction set

template <class F>
void for_each_target(F f) {
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    f(hwy::TargetName(target));
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(Tile, OwnProductIsExactOnEveryTarget) {
  for_each_target([](const char* target) {
    for (const auto& [n_in, n_out] : {Shape{1, 64}, Shape{37, 64}, Shape{50, 192}}) {
      const size_t rows = 32;
      const auto w = small_integers(n_out, n_in, 24), x = small_integers(rows, n_in, 25);
      const size_t n_unit = cpu::padded_units(Compute::kF32, n_in);
      Buffer<float> panel(n_unit * n_out), acc(rows * n_out);
      for (size_t block = 0; block < n_out; block += cpu::kBlockCols) {
        cpu::pack_block(w.data() + block * n_in, cpu::kBlockCols, n_in, n_in, n_unit,
                        panel.data() + block * n_unit);
      }
      cpu::multiply_widening(Compute::kF32, x.data(), rows, n_in, panel.data(), n_out, acc.data());
      for (size_t i = 0; i < acc.size(); ++i) {
        ASSERT_EQ(acc.span()[i], exact(x, w, n_in, i / n_out, i % n_out)) << target;
      }
    }
  });
}

TEST(Tile, BlocksArePaddedWithZeros) {
  const float rows[] = {1, 2, 3, 4, 5, 6};  // (2, 3)
  std::vector<float> block(16 * cpu::kBlockCols, kNaN);
  cpu::pack_block(rows, 2, 3, 3, 16, block.data());
  for (size_t i = 0; i < block.size(); ++i) {
    const size_t k = i / cpu::kBlockCols, row = i % cpu::kBlockCols;
    EXPECT_EQ(block[i], k < 3 && row < 2 ? rows[row * 3 + k] : 0) << i;
  }
}

TEST(Tile, FinishesOnEveryTarget) {
  const size_t rows = 3, stride = 150;
  for_each_target([&](const char* target) {
    for (size_t cols : {1, 15, 64, 100, 128}) {
      Buffer<float> sums(rows * 128), scales(128);
      Buffer<int32_t> integers(rows * 128);
      for (size_t i = 0; i < sums.size(); ++i) {
        sums.span()[i] = static_cast<float>(i % 41) / 8 - 2;
        integers.span()[i] = static_cast<int32_t>(i % 1000) - 500;
        scales.span()[i % 128] = static_cast<float>(1 + i % 4) / 4;
      }
      const float row_scale[] = {0.5f, 2, 1};
      const auto bias = small_integers(1, cols, 26);
      for (bool int8 : {false, true}) {
        cpu::Tile tile{.rows = rows, .cols = cols, .acc_stride = 128, .bias = bias.data()};
        tile.acc = int8 ? static_cast<const void*>(integers.data()) : sums.data();
        if (int8) tile.row_scale = row_scale, tile.col_scale = scales.data();
        tile.stride = stride;
        const auto want = [&](size_t r, size_t c) {
          const float v = int8 ? static_cast<float>(integers.span()[r * 128 + c]) *
                                     scales.span()[c] * row_scale[r]
                               : sums.span()[r * 128 + c];
          return v + bias[c];
        };
        std::vector<float> y(rows * stride, kNaN);
        tile.to = y.data();
        cpu::finish_tile(tile);
        std::vector<BF16> b(rows * stride, BF16{0x7fff});
        tile.to = b.data();
        tile.to_type = Compute::kBF16;
        cpu::finish_tile(tile);
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t r = i / stride, c = i % stride;
          if (c < cols) {
            ASSERT_EQ(y[i], want(r, c)) << target << " " << cols;
            ASSERT_EQ(b[i].bits, to_bf16(want(r, c)).bits) << target << " " << cols;
          } else {
            ASSERT_TRUE(std::isnan(y[i]) && b[i].bits == 0x7fff)
                << target << " wrote past " << cols;
          }
        }
      }
    }
  });
}

// oneDNN, where it multiplies, gives what our own kernel gives, up to rounding, in every shape.
TEST(Matmul, OneDnnAgreesWithTheOwnKernel) {
  for (const auto& [n_in, n_out] : {Shape{1, 64}, Shape{37, 64}, Shape{1500, 128}, Shape{64, 1024},
                                    Shape{2048, 128}, Shape{4097, 192}, Shape{7168, 256}}) {
    const auto* product = cpu::PanelProduct::find(n_in, n_out);
    if (product == nullptr) GTEST_SKIP() << "no product of oneDNN here";
    const auto w = random_floats(n_in * n_out, 30), x = random_floats(128 * n_in, 31);
    const size_t n_unit = cpu::padded_units(Compute::kF32, n_in);
    Buffer<float> panel(n_unit * n_out), want(128 * n_out), got(128 * n_out);
    for (size_t block = 0; block < n_out; block += cpu::kBlockCols) {
      cpu::pack_block(w.data() + block * n_in, cpu::kBlockCols, n_in, n_in, n_unit,
                      panel.data() + block * n_unit);
    }
    const auto weights = product->bind(panel.data());
    for (size_t rows : {4, 28, 64, 128}) {
      cpu::multiply_widening(Compute::kF32, x.data(), rows, n_in, panel.data(), n_out, want.data());
      product->run(rows, x.data(), weights, got.data());
      for (size_t i = 0; i < rows * n_out; ++i) {
        // Normal numbers: the sizes of n_in products add up to 0.64 n_in, and both sides round.
        ASSERT_NEAR(got.data()[i], want.data()[i], 3e-7 * static_cast<double>(n_in) + 1e-6)
            << product->implementation() << " " << n_in << "x" << n_out << ", " << rows << " rows";
      }
    }
  }
}

}  // namespace
}  // namespace fathom::matmul_test
