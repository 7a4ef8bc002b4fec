// SPDX-License-Identifier: Apache-2.0
#include "formats/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/build_files.h"

namespace fathom::tensor_test {
namespace {

using test::bytes_of;
using test::data_of;
using test::refusal;
using test::values_of;
using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
std::vector<float> read_as(StoredType dtype, const std::vector<T>& values) {
  // One byte off, as tensors in files may be: reads must not need alignment.
  const std::string data = std::string("x") + data_of(values);
  return values_of({.name = "t",
                    .dtype = dtype,
                    .shape = {values.size()},
                    .strides = {},
                    .bytes = bytes_of(data).subspan(1)});
}

TEST(ReadF32, ConvertsEveryPlainType) {
  EXPECT_THAT(read_as<float>(StoredType::kF32, {1.5f, -0.25f}), ElementsAre(1.5f, -0.25f));
  EXPECT_THAT(read_as<double>(StoredType::kF64, {1.5, 1e300}),
              ElementsAre(1.5f, std::numeric_limits<float>::infinity()));
  EXPECT_THAT(read_as<uint16_t>(StoredType::kBF16, {0x3fc0, 0xc000}), ElementsAre(1.5f, -2.f));
  EXPECT_THAT(read_as<uint16_t>(StoredType::kF16, {0x3e00, 0xc000}), ElementsAre(1.5f, -2.f));
  EXPECT_THAT(read_as<int64_t>(StoredType::kI64, {-7, int64_t{1} << 40}),
              ElementsAre(-7.f, 0x1p40f));
  EXPECT_THAT(read_as<int32_t>(StoredType::kI32, {-7, 8}), ElementsAre(-7.f, 8.f));
  EXPECT_THAT(read_as<int16_t>(StoredType::kI16, {-7, 8}), ElementsAre(-7.f, 8.f));
  EXPECT_THAT(read_as<int8_t>(StoredType::kI8, {-128, 127}), ElementsAre(-128.f, 127.f));
  EXPECT_THAT(read_as<uint8_t>(StoredType::kU8, {0, 255}), ElementsAre(0.f, 255.f));
  EXPECT_THAT(read_as<uint8_t>(StoredType::kBool, {0, 1}), ElementsAre(0.f, 1.f));
}

// The fast conversion has no branches; the definition is in base/dtype.h.
TEST(ReadF32, EveryF16EqualsItsDefinition) {
  std::vector<uint16_t> all(65536);
  std::iota(all.begin(), all.end(), uint16_t{0});
  const std::vector<float> got = read_as<uint16_t>(StoredType::kF16, all);
  for (size_t i = 0; i < all.size(); ++i) {
    const float expected = to_f32(F16{all[i]});
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(expected)) << i;
  }
}

TEST(ReadF32, EveryBF16EqualsItsDefinition) {
  std::vector<uint16_t> all(65536);
  std::iota(all.begin(), all.end(), uint16_t{0});
  const std::vector<float> got = read_as<uint16_t>(StoredType::kBF16, all);
  for (size_t i = 0; i < all.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), uint32_t{all[i]} << 16) << i;
}

// Values 0, 1, 2, ... in memory, seen through shape and strides.
struct Strided {
  std::vector<float> memory;
  Tensor tensor;
  Strided(std::vector<size_t> shape, std::vector<size_t> strides) : memory(100) {
    std::iota(memory.begin(), memory.end(), 0.f);
    tensor = {.name = "t",
              .dtype = StoredType::kF32,
              .shape = std::move(shape),
              .strides = std::move(strides),
              .bytes = std::as_bytes(std::span(memory))};
  }
};

TEST(ReadF32, FollowsStrides) {
  EXPECT_THAT(values_of(Strided({3, 2}, {1, 3}).tensor), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(values_of(Strided({2, 3}, {10, 2}).tensor), ElementsAre(0, 2, 4, 10, 12, 14));
  EXPECT_THAT(values_of(Strided({4}, {7}).tensor), ElementsAre(0, 7, 14, 21));
  EXPECT_THAT(values_of(Strided({2, 2, 2}, {1, 20, 5}).tensor),
              ElementsAre(0, 5, 20, 25, 1, 6, 21, 26));
  EXPECT_THAT(values_of(Strided({2, 1, 2}, {3, 99, 1}).tensor), ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(values_of(Strided({2, 2}, {0, 1}).tensor), ElementsAre(0, 1, 0, 1));
}

TEST(ReadF32, AnyPartEqualsThePartOfTheWhole) {
  const Strided s({3, 2, 4}, {4, 13, 1});
  const Tensor contiguous = {.name = "c",
                             .dtype = StoredType::kF32,
                             .shape = {3, 2, 4},
                             .strides = {},
                             .bytes = s.tensor.bytes};
  for (const Tensor& t : {s.tensor, contiguous}) {
    const std::vector<float> whole = values_of(t);
    for (size_t begin = 0; begin <= whole.size(); ++begin)
      for (size_t end = begin; end <= whole.size(); ++end) {
        std::vector<float> part(end - begin);
        read_f32(t, begin, end, part);
        ASSERT_EQ(part, std::vector<float>(whole.begin() + static_cast<ptrdiff_t>(begin),
                                           whole.begin() + static_cast<ptrdiff_t>(end)))
            << begin << ' ' << end;
      }
  }
}

TEST(ReadF32, ScalarsAndEmptyTensors) {
  const std::vector<float> one = {3.5f};
  const Tensor scalar = {.name = "s",
                         .dtype = StoredType::kF32,
                         .shape = {},
                         .strides = {},
                         .bytes = std::as_bytes(std::span(one))};
  EXPECT_THAT(values_of(scalar), ElementsAre(3.5f));
  EXPECT_EQ(scalar.rows(), 1u);
  const Tensor empty = {
      .name = "e", .dtype = StoredType::kBF16, .shape = {0, 3}, .strides = {}, .bytes = {}};
  EXPECT_TRUE(values_of(empty).empty());
  EXPECT_EQ(empty.rows(), 0u);
}

TEST(TensorBytes, CountsBlocksAndRefusesWhatDoesNotFit) {
  EXPECT_EQ(tensor_bytes("t", StoredType::kF32, 3, 5), 60u);
  EXPECT_EQ(tensor_bytes("t", StoredType::kQ8_0, 3, 64), 3u * 2 * 34);
  EXPECT_EQ(tensor_bytes("t", StoredType::kQ6_K, 1, 512), 420u);
  EXPECT_EQ(tensor_bytes("t", StoredType::kF32, 7, 0), 0u);
  EXPECT_THAT(refusal([] { tensor_bytes("blk.0.x", StoredType::kQ4_0, 1, 33); }),
              HasSubstr("blk.0.x: a row of 33 elements"));
  EXPECT_THAT(refusal([] { tensor_bytes("w", StoredType::kF32, size_t{1} << 62, 8); }),
              HasSubstr("overflows"));
  EXPECT_THAT(refusal([] { tensor_bytes("w", StoredType::kF64, 1, size_t{1} << 62); }),
              HasSubstr("overflows"));
}

}  // namespace
}  // namespace fathom::tensor_test
