// SPDX-License-Identifier: Apache-2.0
// FLOPs of pairs and of static vectors, weight bytes, and the measuring helpers.
#include "eval/cost.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "depth/mask.h"
#include "model/cost_models.h"

namespace fathom::cost_test {
namespace {

using test::finch_1b6;
using test::odd;

using Lengths = std::vector<size_t>;

// Whole blocks up to where a sequence left.
class RunsToExit final : public DepthPolicy {
 public:
  std::string name() const override { return "exits"; }
  void decide(const Boundary&, std::span<Step>) const override {}
};

TEST(Cost, FlopsOfAPairAreTwiceTheMultiplyAddsOfBothSentences) {
  const CostModel model = odd(7);
  const double block0 = static_cast<double>(block_cost(model, 0).total());
  const double block1 = static_cast<double>(block_cost(model, 1).total());
  const auto flops = flops_per_pair(model, Lengths{20, 7, 1}, Lengths{10, 6, 0});
  const double tokens = 44.0 / 3;
  ASSERT_EQ(flops.size(), 4u);
  EXPECT_EQ(flops[0], 0);
  EXPECT_DOUBLE_EQ(flops[1], 2 * tokens * block0);
  EXPECT_DOUBLE_EQ(flops[2], 2 * tokens * (block0 + block1));
  EXPECT_DOUBLE_EQ(flops[3], 2 * tokens * (block0 + 2 * block1));

  const auto whole = flops_per_pair(finch_1b6(), Lengths{25}, Lengths{25});
  EXPECT_DOUBLE_EQ(whole.back(), 2.0 * 50 * 24 * 55836672);
  EXPECT_EQ(flops_per_pair(model, Lengths{}, Lengths{}), std::vector<double>(4, 0.0));
}

TEST(Cost, GloveAddsKnownWordsAndDividesOnce) {
  // 3 + 2 known words of 50 numbers, a division each; a sentence without known words is free.
  EXPECT_EQ(static_flops_per_pair(50, Lengths{3}, Lengths{2}), 50 * 4 + 50 * 3);
  EXPECT_EQ(static_flops_per_pair(50, Lengths{3, 0}, Lengths{0, 0}), 50 * 4 / 2.0);
  EXPECT_EQ(static_flops_per_pair(50, Lengths{}, Lengths{}), 0);
}

TEST(Cost, WeightBytesAddUp) {
  EXPECT_EQ(weight_bytes_by_layer(std::vector<uint64_t>{5, 7, 100}),
            (std::vector<uint64_t>{0, 5, 12, 112}));
  EXPECT_EQ(weight_bytes_by_layer({}), std::vector<uint64_t>{0});
}

// Sublayers that nothing ran are not read; what one of a pair runs is read once for both.
TEST(Cost, WeightBytesOfAPolicyAreOfTheSublayersThatRan) {
  const std::vector<SublayerWeights> blocks = {{5, 7, 2}, {50, 70, 0}, {500, 700, 0}};
  DepthTrace one, three;
  one.exit_layer = 1;
  three.exit_layer = 3;
  EXPECT_EQ(weight_bytes_of(blocks, FixedDepth(3), std::vector{three}), 1332u);
  const RunsToExit exits;
  EXPECT_EQ(weight_bytes_of(blocks, exits, std::vector{one}), 12u);
  EXPECT_EQ(weight_bytes_of(blocks, exits, std::vector{one, three}), 1332u);
  BlockMask mask = BlockMask::all(3);
  mask.time_mix[0] = mask.channel_mix[1] = mask.channel_mix[2] = false;
  const MaskedDepth masked("m", mask);
  EXPECT_EQ(weight_bytes_of(blocks, masked, std::vector{three, three}), 7u + 50 + 500);
  three.v_first_alone = true;
  EXPECT_EQ(weight_bytes_of(blocks, masked, std::vector{three}), 2u + 7 + 50 + 500);
}

TEST(PeakMemory, SeesWhatIsTouchedAndForgetsItWhenReset) {
  if (!std::ifstream("/proc/self/status")) GTEST_SKIP() << "no /proc on this system";
  constexpr size_t kBytes = size_t{64} << 20;
  const bool could_reset = reset_peak_rss();
  const auto before = peak_rss_bytes();
  ASSERT_TRUE(before.has_value());
  EXPECT_GT(*before, size_t{1} << 20);
  EXPECT_LT(*before, size_t{1} << 44);
  {
    // Every page written, through volatile: an untouched one is not resident.
    const auto memory = std::make_unique<char[]>(kBytes);
    volatile char* byte = memory.get();
    for (size_t i = 0; i < kBytes; i += 1024) byte[i] = 1;
    EXPECT_GE(*peak_rss_bytes(), kBytes);
    if (could_reset) {
      EXPECT_GE(*peak_rss_bytes(), *before + kBytes - (size_t{4} << 20));
    }
  }
  EXPECT_GE(*peak_rss_bytes(), kBytes);  // a peak stays when memory is given back
}

TEST(Median, IsTheMiddle) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(median(std::vector<double>{3, 1, 2}), 2);
  EXPECT_EQ(median(std::vector<double>{4, 1, 3, 2}), 2.5);
  EXPECT_EQ(median(std::vector<double>{7}), 7);
  EXPECT_TRUE(std::isnan(median({})));
  EXPECT_TRUE(std::isnan(median(std::vector<double>{1, kNaN, 2})));
}

TEST(Median, TimesOnlyWhatFollowsTheWarmUp) {
  int n_call = 0;
  const double seconds = median_seconds(
      [&] {
        ++n_call;
        if (n_call > 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      },
      2, 3);
  EXPECT_EQ(n_call, 5);
  EXPECT_GE(seconds, 0.002);  // sleep_for never sleeps less
}

}  // namespace
}  // namespace fathom::cost_test
