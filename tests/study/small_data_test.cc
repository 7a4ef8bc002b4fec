// SPDX-License-Identifier: Apache-2.0
// What few calibration rows can guarantee, by the binomial itself.
#include "study/small_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "probe/calibrate.h"

namespace fathom::test::small_data_test {
namespace {

using testing::HasSubstr;

TEST(SmallData, RowsForAGuaranteeAreThoseOfTheTest) {
  for (const auto& [delta, epsilon] :
       {std::pair(0.05, 0.05), std::pair(0.01, 0.05), std::pair(0.2, 0.01)}) {
    const size_t n = rows_needed(delta, epsilon);
    EXPECT_EQ(allowed_differences(n, delta, epsilon), 0u);
    EXPECT_EQ(allowed_differences(n - 1, delta, epsilon), std::nullopt);
    EXPECT_LE(smallest_certified(n, epsilon), delta);
    EXPECT_GT(smallest_certified(n - 1, epsilon), delta);
  }
  EXPECT_EQ(rows_needed(0.01, 0.05), 299u);
}

TEST(SmallData, ADefaultThatCannotBeBecomesAMeanLossAndSaysSo) {
  using Kind = ExitTarget::Kind;
  const ExitTarget guarantee{Kind::kGuarantee, 0.05, 0.05};
  const AdaptedTarget few = adapt_target(guarantee, false, 10);
  EXPECT_EQ(few.target.kind, Kind::kLoss);
  EXPECT_EQ(few.target.value, 0.05);
  EXPECT_THAT(few.note, testing::AllOf(HasSubstr("needs 59 calibration rows"),
                                       HasSubstr("there are 10"), HasSubstr("at most 0.26")));
  EXPECT_THAT(error_of([&] { adapt_target(guarantee, true, 10); }), HasSubstr("needs 59"));
  EXPECT_EQ(adapt_target(guarantee, false, 59).target.kind, Kind::kGuarantee);
  EXPECT_EQ(adapt_target({Kind::kSpeed, 2, 0}, true, 10).note, "");
}

}  // namespace
}  // namespace fathom::test::small_data_test
