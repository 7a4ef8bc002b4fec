// SPDX-License-Identifier: Apache-2.0
// Vectors cut to their first dimensions: the same numbers, scaled anew where length 1 is asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "depth/mask.h"
#include "encode/depth_encode.h"
#include "encode/exit_rules.h"

namespace fathom::test::dimensions_test {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<float> cut(std::span<const float> values, size_t dim, size_t k) {
  std::vector<float> out;
  for (size_t i = 0; i < values.size(); i += dim)
    out.insert(out.end(), values.begin() + static_cast<std::ptrdiff_t>(i),
               values.begin() + static_cast<std::ptrdiff_t>(i + k));
  return out;
}

TEST(Dimensions, AreTheFirstOnesOfTheWholeVector) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  for (Scan scan : {Scan::kForward, Scan::kBoth}) {
    EncodeOptions options = all_layers(3);
    options.scan = scan;
    const Encoded whole = encode(model, options, some_texts());
    for (size_t k : {1, 17, 40}) {
      options.dimensions = k;
      const Encoded some = encode(model, options, some_texts());
      EXPECT_TRUE(same_bits(some.values, cut(whole.values, 40, k))) << k;
    }
  }
}

TEST(Dimensions, HaveLengthOneWhereThatIsAskedFor) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  EncodeOptions options = all_layers(3);
  const std::vector<float> want = cut(encode(model, options, some_texts()).values, 40, 11);
  options.dimensions = 11;
  options.normalize = true;
  const std::vector<float> unit = encode(model, options, some_texts()).values;
  ASSERT_EQ(unit.size(), want.size());
  for (size_t i = 0; i < unit.size(); i += 11) {
    const auto u = std::span(unit).subspan(i, 11);
    EXPECT_NEAR(std::inner_product(u.begin(), u.end(), u.begin(), 0.0), 1, 1e-6);
    EXPECT_NEAR(cosine(u, std::span(want).subspan(i, 11)), 1, 1e-6);
  }
}

TEST(Dimensions, ComeBehindPostProcessingAndPolicies) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  RuleMaker make(3);
  EncodeOptions options;
  options.layers = {2};
  options.post.resize(1);
  options.post[0].mean = make.numbers(40);
  options.post[0].matrix = make.numbers(40 * 30);
  const std::vector<float> whole = encode(model, options, some_texts()).values;
  options.dimensions = 30;
  EXPECT_TRUE(same_bits(encode(model, options, some_texts()).values, whole));
  options.dimensions = 4;
  EXPECT_TRUE(same_bits(encode(model, options, some_texts()).values, cut(whole, 30, 4)));

  const ErraticPolicy policy;
  EncodeOptions plain;
  const DepthEncoded all = encode_depth(model, policy, plain, some_texts());
  plain.dimensions = 5;
  EXPECT_TRUE(
      same_bits(encode_depth(model, policy, plain, some_texts()).values, cut(all.values, 40, 5)));
}

TEST(Dimensions, AreAtMostThoseOfTheVector) {
  const Model model = open_blinkdl(small(Version::kV6), cpu_backend());
  for (size_t k : {0, 41}) {
    EncodeOptions options = all_layers(3);
    options.dimensions = k;
    EXPECT_THAT([&] { Encoder(model, options); },
                ThrowsMessage<UsageError>(HasSubstr("dimensions: expected 1 to 40")));
  }
}

}  // namespace
}  // namespace fathom::test::dimensions_test
