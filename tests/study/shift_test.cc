// SPDX-License-Identifier: Apache-2.0
// Whether calibration rows are like those to come, and what is done about it.
#include "study/shift.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error_of.h"
#include "base/random.h"
#include "study/calibrate_on.h"
#include "study/made_up_sweep.h"

namespace fathom::test::shift_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<double> uniform(size_t n, double from, double to, uint64_t seed) {
  Random random(seed);
  std::vector<double> out;
  for (size_t i = 0; i < n; ++i)
    out.push_back(from + (to - from) * static_cast<double>(random.below(1u << 20)) / (1u << 20));
  return out;
}

TEST(KolmogorovSmirnov, KnownValues) {
  // scipy.stats.ks_2samp(..., method="asymp") without Stephens' correction is near.
  const KsTest same = kolmogorov_smirnov({1, 2, 3, 4}, {1, 2, 3, 4});
  EXPECT_EQ(same.distance, 0);
  EXPECT_EQ(same.p, 1);
  EXPECT_DOUBLE_EQ(kolmogorov_smirnov({1, 2, 3, 4}, {3, 4, 5, 6}).distance, 0.5);
  EXPECT_DOUBLE_EQ(kolmogorov_smirnov({1, 1, 1}, {2, 2}).distance, 1);
  // D 0.2 of 100 and 100: lambda = (7.0711 + 0.12 + 0.0156) 0.2 = 1.4413, Q = 0.0314.
  std::vector<double> a, b;
  for (int i = 0; i < 100; ++i) {
    a.push_back(i);
    b.push_back(i + 20);
  }
  const KsTest apart = kolmogorov_smirnov(a, b);
  EXPECT_DOUBLE_EQ(apart.distance, 0.2);
  EXPECT_NEAR(apart.p, 0.0314, 2e-4);
  EXPECT_THROW(kolmogorov_smirnov({}, {1}), Error);
}

// Of samples that are drawn alike one in a hundred has a p below 0.01.
TEST(KolmogorovSmirnov, RarelyWarnsOfLikes) {
  size_t low = 0;
  for (uint64_t s = 0; s < 1000; ++s)
    low += kolmogorov_smirnov(uniform(300, 0, 1, 2 * s), uniform(150, 0, 1, 2 * s + 1)).p < 0.01;
  EXPECT_LE(low, 20u);
  EXPECT_GE(low, 2u);
}

MadeUpSweep sweep_of(const ValueAt& evaluated) {
  std::vector<double> train(400, 1.0), gold(200, 1.0);
  return {"sst2", 2,
          train,  [](size_t, size_t i) { return 0.1 + 0.01 * static_cast<double>(i % 97); },
          gold,   evaluated};
}

TEST(Shift, WarnsWhereConfidencesDiffer) {
  MadeUpSweep alike =
      sweep_of([](size_t, size_t i) { return 0.1 + 0.01 * static_cast<double>(i % 97); });
  const SweepTask task = alike.task();
  const ShiftTest none = shift_of(task);
  EXPECT_FALSE(none.warns()) << none.confidence.p;
  EXPECT_EQ(none.calibration_length, 10);
  EXPECT_THAT(warning_of(none, task.task), IsEmpty());
  MadeUpSweep other = sweep_of([](size_t, size_t) { return 3.0; });
  const SweepTask shifted = other.task();
  const ShiftTest shift = shift_of(shifted);
  EXPECT_TRUE(shift.warns());
  EXPECT_EQ(shift.length.distance, 0);
  EXPECT_EQ(shift.confidence.distance, 1);
  EXPECT_THAT(
      warning_of(shift, shifted.task),
      HasSubstr("sst2: the calibration rows are not like those of validation: 10.0 tokens"));
}

TEST(MatchLengths, DrawsRowsWhoseLengthsAreThoseToCome) {
  const std::vector<double> calibration = uniform(6000, 0, 40, 1),
                            to_come = uniform(1000, 10, 30, 2);
  EXPECT_LT(kolmogorov_smirnov(calibration, to_come).p, 1e-9);
  const MatchedRows matched = match_lengths(calibration, to_come, 3);
  std::vector<double> kept;
  for (size_t row : matched.rows) kept.push_back(calibration[row]);
  EXPECT_GT(kept.size(), 2000u);
  EXPECT_GT(kolmogorov_smirnov(kept, to_come).p, 0.01);
  EXPECT_EQ(match_lengths(calibration, to_come, 3).rows, matched.rows);
}

TEST(MatchLengths, RefusesARatioWithoutABound) {
  EXPECT_THAT(error_of([] { match_lengths(uniform(1000, 0, 10, 1), uniform(500, 5, 60, 2), 1); }),
              HasSubstr("expected a ratio of at most 20"));
}

TEST(CalibrateOn, ReadsTasksThatFit) {
  const Task& sst2 = find_task("sst2");
  EXPECT_EQ(parse_calibrate_on("sst-binary", sst2).n, 1000u);
  EXPECT_EQ(parse_calibrate_on("sst-binary:40", sst2).n, 40u);
  EXPECT_THAT(error_of([&] { parse_calibrate_on("sst-binary:x", sst2); }),
              HasSubstr("calibrate_on: expected TASK or TASK:N"));
  EXPECT_THAT(error_of([&] { parse_calibrate_on("mrpc", sst2); }), HasSubstr("single sentences"));
  EXPECT_THAT(error_of([&] { parse_calibrate_on("trec", sst2); }), HasSubstr("as many classes as"));
}

TEST(CalibrateOn, LeavesOutWhatItsSentencesHold) {
  Dataset train, rows;
  train.task = rows.task = &find_task("sst2");
  train.files = {"train.tsv"};
  rows.files = {"other"};
  for (const char* text : {"a good  Film", "good", "good fil", "bad", "film and"})
    train.pairs.emplace_back().a = text;
  Pair& row = rows.pairs.emplace_back();
  row.a = "This is A Good film \n";
  row.line = 7;
  EXPECT_EQ(leave_out_contained(train, rows), 2u);
  ASSERT_EQ(train.pairs.size(), 3u);
  EXPECT_EQ(train.pairs[0].a, "good fil");
  append(train, rows);
  EXPECT_EQ(place_of(train, 3), "other:7");
}

TEST(CalibrateOn, KeepsItsRowsForThresholdsAlone) {
  std::vector<double> gold(60);
  for (size_t i = 0; i < gold.size(); ++i) gold[i] = static_cast<double>(i % 2);
  const FitRows rows = part_rows_with(gold, 50, 2, 2, 1);
  EXPECT_THAT(rows.calibration, ElementsAre(50, 51, 52, 53, 54, 55, 56, 57, 58, 59));
  EXPECT_EQ(rows.heads.size() + rows.tune.size(), 50u);
  EXPECT_EQ(rows.tune, part_rows(std::span(gold).first(50), 2, 2, 1).tune);
  EXPECT_EQ(part_rows_with(gold, 60, 2, 2, 1).calibration, part_rows(gold, 2, 2, 1).calibration);
}

}  // namespace
}  // namespace fathom::test::shift_test
