// SPDX-License-Identifier: Apache-2.0
#include "formats/nonfinite_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "formats/build_files.h"
#include "formats/temp_folder.h"

namespace fathom::test::nonfinite_tensor_test {
namespace {

using testing::IsEmpty;

// A checkpoint of one tensor "w" of n numbers, as stored.
Checkpoint one(const TempFolder& folder, const std::string& dtype, size_t n,
               const std::string& data) {
  const std::string header = R"({"w":{"dtype":")" + dtype + R"(","shape":[)" + std::to_string(n) +
                             R"(],"data_offsets":[0,)" + std::to_string(data.size()) + "]}}";
  return Checkpoint::open(folder.write("m.safetensors", safetensors(header, data)));
}

std::vector<NonFiniteTensor> found(const Checkpoint& checkpoint) {
  ThreadPool pool(2);
  return nonfinite_tensors(checkpoint, pool);
}

template <class T>
void expect_found(const std::string& dtype, T good, std::vector<T> bad) {
  SCOPED_TRACE(dtype);
  const TempFolder folder;
  constexpr size_t kSize = (size_t{1} << 20) + 5000;  // more than one piece
  std::vector<T> values(kSize, good);
  const auto text = [&] {
    return std::string(reinterpret_cast<const char*>(values.data()), kSize * sizeof(T));
  };
  EXPECT_THAT(found(one(folder, dtype, kSize, text())), IsEmpty());
  for (const T value : bad)
    for (size_t at : {size_t{0}, size_t{4097}, kSize - 1}) {
      values.assign(kSize, good);
      values[at] = value;
      values[kSize - 1] = value;
      const auto tensors = found(one(folder, dtype, kSize, text()));
      ASSERT_EQ(tensors.size(), 1u);
      EXPECT_EQ(tensors[0].name, "w");
      EXPECT_EQ(tensors[0].first, at);
      EXPECT_EQ(tensors[0].n, at == kSize - 1 ? 1u : 2u);
      EXPECT_FALSE(std::isfinite(tensors[0].value));
    }
}

TEST(NonFiniteTensors, AreFoundInEveryFloatType) {
  using Limits = std::numeric_limits<float>;
  expect_found<float>(
      "F32", Limits::max(),
      {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()});
  expect_found<double>("F64", 1, {std::nan(""), HUGE_VAL, 1e300});  // as f32, infinite
  expect_found<uint16_t>("BF16", 0x7f7f, {0x7fc0, 0x7f80, 0xff80});
  expect_found<uint16_t>("F16", 0x7bff, {0x7e00, 0x7c00, 0xfc00});
}

TEST(NonFiniteTensors, IntegersHoldNone) {
  const TempFolder folder;
  EXPECT_THAT(found(one(folder, "I32", 2, std::string(8, '\xff'))), IsEmpty());
  EXPECT_THAT(found(one(folder, "U8", 2, std::string(2, '\xff'))), IsEmpty());
}

TEST(NonFiniteTensors, AreListedInTheOrderOfTheFile) {
  const TempFolder folder;
  const std::string header = R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("a":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},)"
                             R"("c":{"dtype":"BF16","shape":[0],"data_offsets":[10,10]}})";
  const std::string data = data_of<float>({1, HUGE_VALF}) + data_of<uint16_t>({0xff80});
  const auto tensors =
      found(Checkpoint::open(folder.write("m.safetensors", safetensors(header, data))));
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_EQ(tensors[0].first, 1u);
  EXPECT_EQ(tensors[1].name, "a");
  EXPECT_EQ(tensors[1].value, -HUGE_VALF);
}

}  // namespace
}  // namespace fathom::test::nonfinite_tensor_test
