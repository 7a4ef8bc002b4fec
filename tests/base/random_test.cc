// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace fathom::random_test {
namespace {

// Published values of SplitMix64 (Vigna's splitmix64.c with this seed).
TEST(Random, IsSplitMix64) {
  Random random(1234567);
  for (uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                            4593380528125082431u, 16408922859458223821u})
    EXPECT_EQ(random.next(), expected);
}

TEST(Random, BelowGivesTheSameOnEveryPlatform) {
  Random random(1);
  std::vector<uint64_t> drawn;
  for (int i = 0; i < 10; ++i) drawn.push_back(random.below(10));
  EXPECT_EQ(drawn, (std::vector<uint64_t>{5, 7, 9, 4, 4, 7, 8, 5, 2, 7}));
}

TEST(Random, BelowStaysInRangeAndReachesAll) {
  Random random(2);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0u);
  std::array<int, 7> count{};
  for (int i = 0; i < 70000; ++i) ++count[random.below(7)];
  for (int n : count) EXPECT_NEAR(n, 10000, 500);  // five standard deviations are 463
}

// For n = 3 * 2^62 the plain high half of next() * n would give a third of the results twice as
// often as the others: 0 mod 3 half of the time.
TEST(Random, BelowIsUnbiasedForLargeRanges) {
  Random random(3);
  std::array<int, 3> count{};
  for (int i = 0; i < 30000; ++i) ++count[random.below(uint64_t{3} << 62) % 3];
  for (int n : count) EXPECT_NEAR(n, 10000, 420);
}

}  // namespace
}  // namespace fathom::random_test
