// SPDX-License-Identifier: Apache-2.0
#include "probe/confidence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "probe/probe.h"
#include "probe/random_data.h"

namespace fathom::test::confidence_test {
namespace {

using Numbers = std::vector<double>;

TEST(Confidence, MeasuresOfADistribution) {
  const Numbers p = {0.2, 0.7, 0.1}, q = {0.3, 0.3, 0.4};
  EXPECT_DOUBLE_EQ(max_probability(p), 0.7);
  EXPECT_DOUBLE_EQ(margin(p), 0.5);
  EXPECT_NEAR(margin(Numbers{0.1, 0.3, 0.6}), 0.3, 1e-15) << "the largest comes last";
  EXPECT_DOUBLE_EQ(margin(Numbers{0.5, 0.5}), 0);
  EXPECT_NEAR(js_divergence(Numbers{0.7, 0.2, 0.1}, q), 0.13613487804914592, 1e-12);
  EXPECT_EQ(js_divergence(p, p), 0);
  EXPECT_DOUBLE_EQ(js_divergence(Numbers{1, 0}, Numbers{0, 1}), 1);
  EXPECT_DOUBLE_EQ(js_divergence(p, q), js_divergence(q, p));
}

TEST(Confidence, EntropyComesFromLogits) {
  EXPECT_NEAR(entropy_confidence(Numbers{2, -1, 0.5}), 0.43420931015358855, 1e-12);
  EXPECT_NEAR(entropy_confidence(Numbers{3, 3}), 0, 1e-12);
  // Probabilities of 1 and 0 exactly, where p log p is not defined.
  EXPECT_EQ(entropy_confidence(Numbers{0, 2000}), 1);
  EXPECT_EQ(entropy_confidence(Numbers{-1e300, 0, 1e300}), 1);
}

TEST(Confidence, SaturationIsTheCosineWithin0And1) {
  EXPECT_NEAR(saturation(std::vector<float>{1, 0}, std::vector<float>{1, 1}), std::sqrt(0.5), 1e-9);
  EXPECT_EQ(saturation(std::vector<float>{1, 0}, std::vector<float>{-1, 0}), 0);
  EXPECT_EQ(saturation(std::vector<float>{1, 0}, std::vector<float>{0, 0}), 0);
}

TEST(Confidence, PrototypeDistances) {
  const Numbers d = {2.0, 9.0, 1.5}, z = {2, -1, 0.5};
  EXPECT_DOUBLE_EQ(distance_ratio(d), 0.375);
  EXPECT_NEAR(prototype_confidence(d, z), 0.5489506624963683, 1e-12);
  EXPECT_NEAR(prototype_confidence(d, z, 3), 0.5904760311895577, 1e-12);
  EXPECT_DOUBLE_EQ(distance_ratio(Numbers{0, 0}), 0.5);
  EXPECT_DOUBLE_EQ(distance_ratio(Numbers{0, 3}), 0);
  EXPECT_NEAR(prototype_confidence(Numbers{0, 3}, Numbers{0, 2000}), 1, 2e-6) << "floored";
}

TEST(Confidence, LiesBetween0And1) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    Numbers z(2 + random.below(5)), p(z.size()), q(z.size()), d(z.size());
    for (size_t k = 0; k < z.size(); ++k) {
      z[k] = 40 * uniform(random);
      q[k] = 40 * uniform(random);
      d[k] = 5 * (uniform(random) + 1);
    }
    softmax(z, p);
    softmax(q, q);
    for (double c : {max_probability(p), margin(p), entropy_confidence(z), js_divergence(p, q),
                     distance_ratio(d), prototype_confidence(d, z)}) {
      ASSERT_GE(c, 0);
      ASSERT_LE(c, 1);
    }
  }
}

}  // namespace
}  // namespace fathom::test::confidence_test
