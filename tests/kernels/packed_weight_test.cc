// SPDX-License-Identifier: Apache-2.0
// Packed weights as bytes: written down and taken up again they give the same results, and rows
// that are stored in the type of the product pack as those that are read.
#include "kernels/cpu/packed_weight.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"

namespace fathom::packed_weight_test {
namespace {

struct Size {
  size_t n_out, n_in;
};
// Whole blocks and none, one panel and several, a narrow last one.
constexpr Size kSizes[] = {{1, 1},   {64, 64},    {70, 33},  {130, 100},
                           {200, 8}, {1024, 512}, {300, 768}};

std::vector<Compute> supported() {
  std::vector<Compute> all;
  for (Compute c : {Compute::kF32, Compute::kBF16, Compute::kInt8})
    if (cpu_backend().supports(c)) all.push_back(c);
  return all;
}

// bf16 numbers, so that both stored types hold them.
std::vector<float> random_values(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = to_f32(to_bf16(normal(random)));
  return x;
}

WeightRows weight_rows(const std::vector<float>& w, Size size) {
  return {size.n_out, size.n_in, [&w, size](size_t begin, size_t end, float* out) {
            std::copy(w.begin() + begin * size.n_in, w.begin() + end * size.n_in, out);
          }};
}

std::vector<float> multiply(const PackedWeight& w) {
  ThreadPool pool(2);
  constexpr size_t kRows = 19;
  const std::vector<float> x = random_values(kRows * w.n_in, 7);
  std::vector<float> operand(operand_rows(kRows, 0) * w.n_in), scale(padded_rows(kRows));
  Operand left{.type = w.compute, .data = operand.data(), .rows = kRows, .cols = w.n_in};
  if (w.compute == Compute::kInt8) left.scale = scale.data();
  left.stride = w.n_in;
  cpu_backend().convert(pool, {x.data(), kRows, w.n_in}, Activation::kNone, left);
  std::vector<float> y(padded_rows(kRows) * w.n_out);
  cpu_backend().matmul(pool, left, w, {.y = {y.data(), kRows, w.n_out}});
  y.resize(kRows * w.n_out);
  return y;
}

// A copy in memory that nobody may write, as a mapped file is.
class ReadOnly {
 public:
  explicit ReadOnly(std::span<const std::byte> bytes) : size_(bytes.size()) {
    data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FATHOM_REQUIRE(data_ != MAP_FAILED, "no memory");
    std::memcpy(data_, bytes.data(), size_);
    ::mprotect(data_, size_, PROT_READ);
  }
  ReadOnly(const ReadOnly&) = delete;
  ReadOnly& operator=(const ReadOnly&) = delete;
  ~ReadOnly() { ::munmap(data_, size_); }
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  void* data_;
  size_t size_;
};

TEST(PackedWeightBlob, GivesTheSameBitsAndIsOnlyRead) {
  ThreadPool pool(2);
  for (Compute compute : supported()) {
    for (const Size size : kSizes) {
      const auto w = random_values(size.n_out * size.n_in, 3);
      const auto packed = cpu_backend().pack(pool, weight_rows(w, size), compute);
      EXPECT_EQ(packed->blob.size(), packed->bytes);
      const ReadOnly blob(packed->blob);
      const auto adopted = cpu_backend().adopt(size.n_out, size.n_in, compute, blob.bytes());
      EXPECT_EQ(adopted->n_out, size.n_out);
      EXPECT_EQ(adopted->n_in, size.n_in);
      EXPECT_EQ(adopted->compute, compute);
      EXPECT_EQ(adopted->bytes, packed->bytes);
      EXPECT_EQ(multiply(*adopted), multiply(*packed))
          << name_of(compute) << " " << size.n_out << " x " << size.n_in;
    }
  }
}

TEST(PackedWeightBlob, OfAnotherSizeIsRefused) {
  ThreadPool pool(1);
  for (Compute compute : supported()) {
    const Size size{70, 33};
    const auto w = random_values(size.n_out * size.n_in, 3);
    const auto packed = cpu_backend().pack(pool, weight_rows(w, size), compute);
    const auto blob = packed->blob;
    EXPECT_THROW(cpu_backend().adopt(70, 33, compute, blob.first(blob.size() - 1)), Error);
    EXPECT_THROW(cpu_backend().adopt(70, 33, compute, {}), Error);
    EXPECT_THROW(cpu_backend().adopt(170, 33, compute, blob), Error);
  }
}

TEST(PackedWeightBlob, HasALayoutThatNamesWhatItDependsOn) {
  const std::string layout = cpu_backend().blob_layout();
  EXPECT_NE(layout.find("panels "), std::string::npos) << layout;
  EXPECT_NE(layout.find(cpu::onednn_version() + ","), std::string::npos) << layout;
  EXPECT_EQ(layout.find("bf16 none") == std::string::npos, cpu_backend().supports(Compute::kBF16))
      << layout;
  EXPECT_EQ(reference_backend().blob_layout(), "");
}

TEST(PackedWeight, StoredRowsPackAsReadOnes) {
  ThreadPool pool(2);
  for (Compute compute : supported()) {
    for (const Size size : kSizes) {
      const auto w = random_values(size.n_out * size.n_in, 3);
      std::vector<BF16> narrow(w.size());
      std::ranges::transform(w, narrow.begin(), [](float v) { return to_bf16(v); });
      const auto want = cpu_backend().pack(pool, weight_rows(w, size), compute);
      for (Compute stored : {Compute::kF32, Compute::kBF16}) {
        const auto bytes = stored == Compute::kF32 ? std::as_bytes(std::span(w))
                                                   : std::as_bytes(std::span(narrow));
        std::vector<std::byte> unaligned(bytes.size() + 1);
        std::ranges::copy(bytes, unaligned.begin() + 1);
        WeightRows rows = weight_rows(w, size);
        rows.stored = std::span(unaligned).subspan(1);
        rows.stored_type = stored;
        const auto got = cpu_backend().pack(pool, rows, compute);
        EXPECT_TRUE(std::ranges::equal(got->blob, want->blob))
            << name_of(stored) << " to " << name_of(compute) << ", " << size.n_out << " x "
            << size.n_in;
      }
    }
  }
}

}  // namespace
}  // namespace fathom::packed_weight_test
