// SPDX-License-Identifier: Apache-2.0
// The table of confidence measures: one row for each, and rows that say what they must.
#include "depth/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/invalid_option.h"
#include "depth/exit.h"

namespace fathom::measure_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Measure, EveryOneHasItsRow) {
  std::set<std::string_view> names;
  for (Measure m : kMeasures) {
    const MeasureTraits& row = traits_of(m);
    EXPECT_EQ(row.measure, m);
    EXPECT_TRUE(names.insert(row.name).second) << row.name << " twice";
    EXPECT_FALSE(row.meaning.empty()) << row.name;
    ASSERT_NE(row.value, nullptr) << row.name;
    EXPECT_EQ(parse_measure(row.name), m);
    EXPECT_FALSE(row.swept_in_a_row && !row.in_a_row) << row.name;
    EXPECT_FALSE(row.compare == Compare::kAgrees && !row.compares_exits) << row.name;
  }
  EXPECT_THAT([] { parse_measure("certainty"); },
              ThrowsMessage<InvalidOption>(
                  AllOf(HasSubstr("max-prob, margin"), HasSubstr("got 'certainty'"))));
}

// A streak decides for these and no other: docs/methods.md.
TEST(Measure, StreaksBelongToFour) {
  std::vector<std::string_view> counted, swept;
  for (Measure m : kMeasures) {
    if (traits_of(m).in_a_row) counted.push_back(name_of(m));
    if (traits_of(m).swept_in_a_row) swept.push_back(name_of(m));
  }
  EXPECT_THAT(counted, ElementsAre("patience", "pcee", "f-pabee", "score"));
  EXPECT_THAT(swept, ElementsAre("pcee", "f-pabee"));
}

TEST(Measure, TheRowDecidesHowAValueIsCompared) {
  ExitRule rule;
  const auto holds = [&](Measure m, size_t n_class, double value, double threshold) {
    rule.measure = m;
    rule.n_class = n_class;
    return rule.holds(value, threshold);
  };
  EXPECT_TRUE(holds(Measure::kEntropy, 3, 0.5, 0.5)) << "at least";
  EXPECT_FALSE(holds(Measure::kEntropy, 3, 0.4, 0.5));
  EXPECT_FALSE(holds(Measure::kScore, 0, 0.5, 0.5)) << "below";
  EXPECT_TRUE(holds(Measure::kScore, 0, 0.4, 0.5));
  EXPECT_TRUE(holds(Measure::kPatience, 3, 0, -1)) << "classes agree, whatever the threshold";
  EXPECT_FALSE(holds(Measure::kPatience, 3, 1, 2));
  EXPECT_TRUE(holds(Measure::kPatience, 1, 0.4, 0.5)) << "a value moved by less";
  EXPECT_FALSE(holds(Measure::kPatience, 1, 0.5, 0.5));
  rule.n_class = 3;
  for (Measure m : kMeasures) {
    rule.measure = m;
    EXPECT_EQ(rule.has_threshold(), m != Measure::kPatience) << name_of(m);
  }
}

}  // namespace
}  // namespace fathom::measure_test
