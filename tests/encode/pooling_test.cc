// SPDX-License-Identifier: Apache-2.0
#include "encode/pooling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/random.h"

namespace fathom::pooling_test {
namespace {

constexpr Pooling kPoolings[] = {Pooling::kMean, Pooling::kLast, Pooling::kMax, Pooling::kWeighted};

std::vector<float> random_rows(size_t n, size_t dim, uint64_t seed) {
  Random random(seed);
  std::vector<float> x(n * dim);
  for (float& v : x) v = static_cast<float>(static_cast<double>(random.next() >> 11) * 0x1p-52 - 1);
  return x;
}

// The pooled vector of rows [first, n) of x: (n, dim), as the definitions say it.
std::vector<double> naive(Pooling pooling, std::span<const float> x, size_t dim, size_t first) {
  const size_t n = x.size() / dim;
  std::vector<double> out(dim, pooling == Pooling::kMax ? -1e300 : 0);
  double total = 0;
  for (size_t t = first; t < n; ++t) {
    const double weight = pooling == Pooling::kWeighted ? static_cast<double>(t - first + 1) : 1;
    total += weight;
    for (size_t c = 0; c < dim; ++c) {
      const double v = x[t * dim + c];
      if (pooling == Pooling::kMax) out[c] = std::max(out[c], v);
      if (pooling == Pooling::kLast) out[c] = v;
      if (pooling == Pooling::kMean || pooling == Pooling::kWeighted) out[c] += weight * v;
    }
  }
  if (pooling == Pooling::kMean || pooling == Pooling::kWeighted)
    for (double& v : out) v /= total;
  return out;
}

TEST(Pooling, IsItsDefinitionForEverySequenceOfABatch) {
  const size_t dim = 19, offsets[] = {0, 4, 5, 30, 37}, position[] = {0, 0, 0, 0};
  for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
    ThreadPool threads(2);
    const auto x = random_rows(37, dim, 3);
    for (const std::vector<size_t>& first :
         {std::vector<size_t>{0, 0, 0, 0}, std::vector<size_t>{2, 0, 24, 3}}) {
      for (Pooling pooling : kPoolings) {
        Pool pool(pooling, 4, dim);
        pool.add(*backend, threads, {x.data(), 37, dim}, offsets, position, first);
        for (size_t s = 0; s < 4; ++s) {
          std::vector<float> got(dim);
          pool.finish(s, got);
          const auto rows =
              std::span(x).subspan(offsets[s] * dim, (offsets[s + 1] - offsets[s]) * dim);
          const auto want = naive(pooling, rows, dim, first[s]);
          for (size_t c = 0; c < dim; ++c)
            EXPECT_FLOAT_EQ(got[c], static_cast<float>(want[c])) << name_of(pooling) << " " << s;
        }
      }
    }
  }
}

TEST(Pooling, PiecesAndNeighboursChangeNoBit) {
  const size_t dim = 21, n = 50;
  const auto x = random_rows(n, dim, 7);
  ThreadPool threads(1);
  for (const Backend* backend : {&reference_backend(), &cpu_backend()}) {
    for (const size_t first : {0, 20, 49}) {
      for (Pooling pooling : kPoolings) {
        const size_t firsts[] = {first}, at_zero[] = {0}, whole[] = {0, n};
        std::vector<float> expected(dim), got(dim);
        Pool all(pooling, 1, dim);
        all.add(*backend, threads, {x.data(), n, dim}, whole, at_zero, firsts);
        all.finish(0, expected);
        for (const size_t piece : {1, 7, 20, 49}) {
          Pool pool(pooling, 1, dim);
          for (size_t begin = 0; begin < n; begin += piece) {
            const size_t size = std::min(piece, n - begin), position[] = {begin};
            const size_t offsets[] = {0, size};
            pool.add(*backend, threads, {x.data() + begin * dim, size, dim}, offsets, position,
                     firsts);
          }
          pool.finish(0, got);
          EXPECT_EQ(std::memcmp(got.data(), expected.data(), dim * 4), 0)
              << name_of(pooling) << ", pieces of " << piece << ", first " << first;
        }
        // The same rows as the second of three sequences.
        auto packed = random_rows(11, dim, 8);
        packed.insert(packed.end(), x.begin(), x.end());
        const auto after = random_rows(3, dim, 9);
        packed.insert(packed.end(), after.begin(), after.end());
        const size_t offsets[] = {0, 11, 61, 64}, zeros[] = {0, 0, 0}, skip[] = {0, first, 0};
        Pool pool(pooling, 3, dim);
        pool.add(*backend, threads, {packed.data(), 64, dim}, offsets, zeros, skip);
        pool.finish(1, got);
        EXPECT_EQ(std::memcmp(got.data(), expected.data(), dim * 4), 0) << name_of(pooling);
      }
    }
  }
}

TEST(Pooling, MaxOfNegativeRowsIsNegative) {
  const float x[] = {-3, -8, -2, -9};
  const size_t offsets[] = {0, 2}, zero[] = {0};
  ThreadPool threads(1);
  Pool pool(Pooling::kMax, 1, 2);
  pool.add(cpu_backend(), threads, {x, 2, 2}, offsets, zero, zero);
  std::vector<float> got(2);
  pool.finish(0, got);
  EXPECT_THAT(got, testing::ElementsAre(-2, -8));
}

TEST(Pooling, SumsOfLongSequencesStayExact) {
  // A f32 sum would stop growing at 2^24.
  const size_t n = 4096;
  std::vector<float> x(n, 0x1p20f);
  x[0] = 1;
  const size_t offsets[] = {0, n}, zero[] = {0};
  ThreadPool threads(1);
  Pool pool(Pooling::kMean, 1, 1);
  for (int i = 0; i < 8; ++i) {
    const size_t position[] = {i * n};
    pool.add(cpu_backend(), threads, {x.data(), n, 1}, offsets, position, zero);
  }
  std::vector<float> got(1);
  pool.finish(0, got);
  const double sum = 8 * (1 + 0x1p20 * (n - 1));
  EXPECT_EQ(got[0], static_cast<float>(sum / (8 * n)));
}

TEST(Pooling, NamesReadBack) {
  for (Pooling p : kPoolings) EXPECT_EQ(parse_pooling(name_of(p)), p);
  for (const char* name : {"", "Mean", "average", "first"})
    EXPECT_THAT([&] { parse_pooling(name); },
                testing::ThrowsMessage<UsageError>(testing::HasSubstr("mean, last, max")));
}

}  // namespace
}  // namespace fathom::pooling_test
