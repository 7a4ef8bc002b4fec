// SPDX-License-Identifier: Apache-2.0
// Compensated rows (Operand::compensated): rows whose rounding error to bf16 is kept and multiplied as well.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <vector>

#include "base/buffer.h"
#include "base/dtype.h"
#include "base/random.h"
#include "kernels/backend.h"
#include "kernels/cpu/onednn.h"

namespace fathom::compensated_rows_test {
namespace {

std::vector<float> random_values(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(static_cast<double>(random.next() >> 11) * 0x1p-52 - 1);
  return x;
}

// Weights that bf16 holds exactly, so that all error is the left-hand operand's.
std::vector<float> bf16_values(size_t n, uint64_t seed) {
  std::vector<float> x = random_values(n, seed);
  for (float& v : x) v = to_f32(to_bf16(v));
  return x;
}

struct Case {
  size_t rows, n_in, n_out;
  std::vector<uint32_t> compensated;
};

// One chunk with the errors behind the rows; several chunks; gaps between columns.
const Case kCases[] = {{1, 64, 64, {0}},
                       {25, 40, 37, {0, 7, 24}},
                       {128, 64, 96, {3, 127}},
                       {300, 96, 130, {0, 1, 128, 140, 299}}};

class CompensatedRows : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (!backend_.supports(Compute::kBF16)) GTEST_SKIP() << "no bf16 on this machine";
  }
  const Case& c() const { return kCases[GetParam()]; }

  // The left-hand operand, with its compensated rows' errors, through convert(). stride >= n_in.
  Operand left(const std::vector<float>& x, size_t stride, std::span<const uint32_t> compensated) {
    bytes_.push_back(Buffer<std::byte>(operand_rows(c().rows, compensated.size()) * stride * 2));
    Operand o{.type = Compute::kBF16,
              .data = bytes_.back().data(),
              .rows = c().rows,
              .cols = c().n_in,
              .stride = stride};
    o.compensated = compensated;
    backend_.convert(pool_, {x.data(), c().rows, c().n_in}, Activation::kNone, o);
    return o;
  }
  std::unique_ptr<PackedWeight> weight(const std::vector<float>& w) {
    return backend_.pack(pool_,
                         {c().n_out, c().n_in,
                          [&](size_t begin, size_t end, float* out) {
                            std::memcpy(out, w.data() + begin * c().n_in,
                                        (end - begin) * c().n_in * sizeof(float));
                          }},
                         Compute::kBF16);
  }
  // Largest error of a row against sums in double, over the row's size.
  double error(const std::vector<float>& x, const std::vector<float>& w, std::span<const float> got,
               size_t row) const {
    double worst = 0;
    for (size_t o = 0; o < c().n_out; ++o) {
      double want = 0, size = 0;
      for (size_t i = 0; i < c().n_in; ++i) {
        const double term = double{x[row * c().n_in + i]} * w[o * c().n_in + i];
        want += term;
        size += std::abs(term);
      }
      worst = std::max(worst, std::abs(got[row * c().n_out + o] - want) / size);
    }
    return worst;
  }

  const Backend& backend_ = cpu_backend();
  ThreadPool pool_{2};
  std::vector<Buffer<std::byte>> bytes_;
};

// oneDNN reads rows in steps of product_rows(), also of the errors of one tile, which begin anywhere.
TEST(OperandRows, HaveRoomForTheErrorsOfAnyTileRoundedUp) {
  for (const size_t rows : {1, 15, 16, 17, 128, 304}) {
    for (size_t n_compensated = 1; n_compensated <= 130; ++n_compensated) {
      for (size_t first = 0; first < n_compensated; ++first) {
        for (size_t n = 1; n <= n_compensated - first; ++n) {
          ASSERT_LE(rows + first + cpu::product_rows(n), operand_rows(rows, n_compensated))
              << n << " of " << n_compensated << " from " << first;
        }
      }
    }
  }
  EXPECT_EQ(operand_rows(20, 0), 32u);
}

TEST_P(CompensatedRows, AreMultipliedWithSixteenBitsAndTheOthersAsBefore) {
  const auto x = random_values(c().rows * c().n_in, 1), w = bf16_values(c().n_out * c().n_in, 2);
  const auto packed = weight(w);
  for (size_t gap : {0, 8}) {
    Buffer<float> plain(padded_rows(c().rows) * c().n_out), compensated(plain.size());
    const size_t n = c().rows * c().n_out;
    backend_.matmul(pool_, left(x, c().n_in + gap, {}), *packed,
                    {.y = {plain.data(), c().rows, c().n_out}});
    backend_.matmul(pool_, left(x, c().n_in + gap, c().compensated), *packed,
                    {.y = {compensated.data(), c().rows, c().n_out}});
    for (size_t r = 0; r < c().rows; ++r) {
      const bool is_compensated = std::ranges::binary_search(c().compensated, r);
      if (is_compensated) {
        EXPECT_LE(error(x, w, compensated.span().first(n), r), 0x1p-17) << "row " << r;
        EXPECT_GE(error(x, w, plain.span().first(n), r), 0x1p-13) << "the test would see nothing";
      } else {
        EXPECT_EQ(0, std::memcmp(plain.data() + r * c().n_out, compensated.data() + r * c().n_out,
                                 c().n_out * sizeof(float)))
            << "row " << r;
      }
    }
  }
}

TEST_P(CompensatedRows, GiveTheSameBitsAloneAsInTheBatch) {
  const auto x = random_values(c().rows * c().n_in, 3), w = bf16_values(c().n_out * c().n_in, 4);
  const auto packed = weight(w);
  Buffer<float> all(padded_rows(c().rows) * c().n_out);
  backend_.matmul(pool_, left(x, c().n_in, c().compensated), *packed,
                  {.y = {all.data(), c().rows, c().n_out}});
  for (uint32_t r : c().compensated) {
    const uint32_t first[] = {0};
    Buffer<std::byte> bytes(operand_rows(1, 1) * c().n_in * 2);
    Operand one{.type = Compute::kBF16,
                .data = bytes.data(),
                .rows = 1,
                .cols = c().n_in,
                .stride = c().n_in};
    one.compensated = first;
    backend_.convert(pool_, {x.data() + r * c().n_in, 1, c().n_in}, Activation::kNone, one);
    Buffer<float> alone(padded_rows(1) * c().n_out);
    backend_.matmul(pool_, one, *packed, {.y = {alone.data(), 1, c().n_out}});
    EXPECT_EQ(0, std::memcmp(alone.data(), all.data() + r * c().n_out, c().n_out * sizeof(float)))
        << "row " << r;
  }
}

// A product that writes the next left-hand operand keeps the errors of that one.
TEST_P(CompensatedRows, PassTheirErrorsOnThroughAnActivation) {
  const auto x = random_values(c().rows * c().n_in, 5), w = bf16_values(c().n_out * c().n_in, 6);
  const auto packed = weight(w);
  const Operand from = left(x, c().n_in, c().compensated);
  Buffer<float> y(padded_rows(c().rows) * c().n_out);
  backend_.matmul(pool_, from, *packed,
                  {.y = {y.data(), c().rows, c().n_out}, .activation = Activation::kTanh});
  Buffer<std::byte> bytes(operand_rows(c().rows, c().compensated.size()) * c().n_out * 2);
  Operand next{.type = Compute::kBF16,
               .data = bytes.data(),
               .rows = c().rows,
               .cols = c().n_out,
               .stride = c().n_out};
  next.compensated = c().compensated;
  backend_.matmul(pool_, from, *packed, {.next = next, .activation = Activation::kTanh});
  const auto* stored = reinterpret_cast<const BF16*>(bytes.data());
  for (size_t i = 0; i < c().compensated.size(); ++i)
    for (size_t o = 0; o < c().n_out; ++o) {
      const float want = y.data()[c().compensated[i] * c().n_out + o];
      const float high = to_f32(stored[c().compensated[i] * c().n_out + o]);
      const float low = to_f32(stored[(c().rows + i) * c().n_out + o]);
      ASSERT_EQ(high, to_f32(to_bf16(want)));
      ASSERT_NEAR(high + low, want, 0x1p-16 * std::abs(want)) << "row " << c().compensated[i];
    }
}

// The next product may be in int8: then the left-hand operand is that of the f32 result.
TEST_P(CompensatedRows, ReachAnInt8Result) {
  const auto x = random_values(c().rows * c().n_in, 7), w = bf16_values(c().n_out * c().n_in, 8);
  const auto packed = weight(w);
  const Operand from = left(x, c().n_in, c().compensated);
  Buffer<float> y(padded_rows(c().rows) * c().n_out);
  backend_.matmul(pool_, from, *packed, {.y = {y.data(), c().rows, c().n_out}});
  std::vector<int8_t> want(c().rows * c().n_out), got(want.size());
  std::vector<float> want_scale(c().rows), got_scale(c().rows);
  const auto int8 = [&](std::vector<int8_t>& data, std::vector<float>& scale) {
    return Operand{Compute::kInt8, data.data(), scale.data(), c().rows, c().n_out, c().n_out};
  };
  backend_.convert(pool_, {y.data(), c().rows, c().n_out}, Activation::kNone,
                   int8(want, want_scale));
  backend_.matmul(pool_, from, *packed, {.next = int8(got, got_scale)});
  EXPECT_EQ(got, want);
  EXPECT_EQ(got_scale, want_scale);
}

INSTANTIATE_TEST_SUITE_P(Shapes, CompensatedRows, ::testing::Range(size_t{0}, std::size(kCases)));

}  // namespace
}  // namespace fathom::compensated_rows_test
