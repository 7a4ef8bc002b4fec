// SPDX-License-Identifier: Apache-2.0
#include "study/feature_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/error_of.h"
#include "formats/temp_folder.h"

namespace fathom::test::feature_store_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Number `i` of text `t` at layer `l`.
float value_at(size_t l, size_t t, size_t i) {
  return static_cast<float>(100 * l + 10 * t + i) + 0.5f;
}

// Vectors of texts [begin, end) as append() takes them.
std::vector<float> block(const FeatureShape& shape, size_t begin, size_t end) {
  std::vector<float> values;
  for (size_t l = 0; l < shape.n_layer; ++l)
    for (size_t t = begin; t < end; ++t)
      for (size_t i = 0; i < shape.dim; ++i) values.push_back(value_at(l, t, i));
  return values;
}

std::vector<float> layer_of(const FeatureCache& cache, size_t l) {
  std::vector<float> values(cache.shape().n_text * cache.shape().dim);
  cache.read(l, 0, cache.shape().n_text, values);
  return values;
}

// Text t has t + 3 tokens.
std::vector<uint32_t> lengths(size_t begin, size_t end) {
  std::vector<uint32_t> n;
  for (size_t t = begin; t < end; ++t) n.push_back(static_cast<uint32_t>(t + 3));
  return n;
}

void expect_whole(const FeatureCache& cache) {
  const FeatureShape& s = cache.shape();
  for (size_t l = 0; l < s.n_layer; ++l) {
    const std::vector<float> values = layer_of(cache, l);
    ASSERT_EQ(values.size(), s.n_text * s.dim);
    for (size_t t = 0; t < s.n_text; ++t)
      for (size_t i = 0; i < s.dim; ++i) ASSERT_EQ(values[t * s.dim + i], value_at(l, t, i));
  }
}

TEST(FeatureCache, GoesOnWhereItStopped) {
  const TempFolder folder;
  const FeatureShape shape{.n_layer = 3, .n_text = 7, .dim = 2};
  for (size_t begin : {0, 2, 5}) {  // opened anew each time, as after a kill
    FeatureCache cache(folder.file("f"), "key", shape);
    ASSERT_EQ(cache.n_done(), begin);
    EXPECT_FALSE(cache.complete());
    const size_t end = begin == 0 ? 2 : begin == 2 ? 5 : 7;
    cache.append(block(shape, begin, end), lengths(begin, end));
  }
  const FeatureCache cache(folder.file("f"), "key", shape);
  EXPECT_TRUE(cache.complete());
  expect_whole(cache);
  EXPECT_THAT(cache.n_token(), ElementsAre(3, 4, 5, 6, 7, 8, 9));
  std::vector<float> some(4);
  cache.read(2, 4, 2, some);
  EXPECT_THAT(some, ElementsAre(value_at(2, 4, 0), value_at(2, 4, 1), value_at(2, 5, 0),
                                value_at(2, 5, 1)));
}

// What was written after the last count is not trusted: those texts are done again.
TEST(FeatureCache, CountsOnlyWhatIsWhole) {
  const TempFolder folder;
  const FeatureShape shape{.n_layer = 2, .n_text = 4, .dim = 3};
  {
    FeatureCache cache(folder.file("f"), "key", shape);
    cache.append(block(shape, 0, 2), lengths(0, 2));
  }
  {
    std::fstream file(folder.file("f"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3 * 4096 + 2 * 3 * 4);  // text 2 at layer 0, half written
    file.write("junk", 4);
  }
  FeatureCache cache(folder.file("f"), "key", shape);
  ASSERT_EQ(cache.n_done(), 2u);
  cache.append(block(shape, 2, 4), lengths(2, 4));
  expect_whole(cache);
}

TEST(FeatureCache, StartsAnewForOtherContents) {
  const TempFolder folder;
  const FeatureShape shape{.n_layer = 2, .n_text = 4, .dim = 3};
  const auto fill_up = [&] {
    FeatureCache cache(folder.file("f"), "key", shape);
    const size_t begin = cache.n_done();
    if (begin < 4) cache.append(block(shape, begin, 4), lengths(begin, 4));
  };
  const auto n_done = [&](const std::string& key, const FeatureShape& s) {
    fill_up();
    return FeatureCache(folder.file("f"), key, s).n_done();
  };
  EXPECT_EQ(n_done("key", shape), 4u);
  EXPECT_EQ(n_done("yek", shape), 0u);
  EXPECT_EQ(n_done("key", {.n_layer = 2, .n_text = 5, .dim = 3}), 0u);
  EXPECT_EQ(n_done("key", {.n_layer = 3, .n_text = 4, .dim = 2}), 0u) << "of the same size";
  EXPECT_EQ(n_done("key", {.n_layer = 2, .n_text = 4, .dim = 3, .dtype = StoredType::kBF16}), 0u);
  fill_up();
  std::filesystem::resize_file(folder.file("f"), 4096 + 10);
  EXPECT_EQ(FeatureCache(folder.file("f"), "key", shape).n_done(), 0u) << "truncated";
  folder.write("f", "something else");
  EXPECT_EQ(FeatureCache(folder.file("f"), "key", shape).n_done(), 0u);
}

TEST(FeatureCache, HoldsBf16) {
  const TempFolder folder;
  const FeatureShape shape{.n_layer = 1, .n_text = 2, .dim = 2, .dtype = StoredType::kBF16};
  FeatureCache cache(folder.file("f"), "key", shape);
  cache.append(std::vector<float>{1, -0.5f, 1.00390625f, 3}, lengths(0, 2));
  EXPECT_THAT(layer_of(cache, 0), ElementsAre(1, -0.5f, 1, 3)) << "8 bits of mantissa";
  EXPECT_EQ(std::filesystem::file_size(folder.file("f")), 3 * 4096 + 2 * 2 * 2u);
}

// A bit that the disk turned round, anywhere behind the header: in a length, a checksum, a vector.
TEST(FeatureCache, AFlippedBitIsFoundWhenItIsRead) {
  for (StoredType dtype : {StoredType::kF32, StoredType::kBF16}) {
    const TempFolder folder;
    const FeatureShape shape{.n_layer = 2, .n_text = 3, .dim = 3, .dtype = dtype};
    {
      FeatureCache cache(folder.file("f"), "key", shape);
      cache.append(block(shape, 0, 3), lengths(0, 3));
    }
    const std::string whole = read_whole(folder.file("f"));
    const size_t n_value = 2 * 3 * 3 * dtype_info(dtype).block_bytes;
    ASSERT_EQ(whole.size(), 3 * 4096 + n_value);
    std::vector<size_t> places;
    for (size_t i = 0; i < 3 * 8; ++i) places.push_back(4096 + i);          // lengths
    for (size_t i = 0; i < 2 * 3 * 4; ++i) places.push_back(2 * 4096 + i);  // checksums
    for (size_t i = 0; i < n_value; ++i) places.push_back(3 * 4096 + i);
    for (size_t at : places) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
      const std::string path = folder.write("damaged", bytes);
      const FeatureCache cache(path, "key", shape);
      ASSERT_TRUE(cache.complete());
      const std::string error = error_of([&] {
        cache.n_token();
        for (size_t l = 0; l < shape.n_layer; ++l) layer_of(cache, l);
      });
      ASSERT_THAT(error, HasSubstr(path + ": what is stored of text ")) << "byte " << at;
    }
  }
}

TEST(FeatureCache, IsFilledByOneProcessAtATime) {
  const TempFolder folder;
  const FeatureShape shape{.n_layer = 1, .n_text = 2, .dim = 2};
  const FeatureCache first(folder.file("f"), "key", shape);
  try {
    const FeatureCache second(folder.file("f"), "key", shape);
    ADD_FAILURE() << "expected an Error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("another process"));
  }
  EXPECT_THROW(FeatureCache(folder.file("none/f"), "key", shape), Error);
}

TEST(FeatureCache, IsReadByManyWhenComplete) {
  const TempFolder folder;
  const FeatureShape shape{.n_layer = 1, .n_text = 2, .dim = 2};
  FeatureCache first(folder.file("f"), "key", shape);
  first.append(block(shape, 0, 2), lengths(0, 2));
  const FeatureCache second(folder.file("f"), "key", shape);
  EXPECT_TRUE(second.complete());
  expect_whole(first);
  expect_whole(second);
  EXPECT_THROW(FeatureCache(folder.file("f"), "another", shape), Error) << "still read as it is";
}

}  // namespace
}  // namespace fathom::test::feature_store_test
