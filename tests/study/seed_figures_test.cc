// SPDX-License-Identifier: Apache-2.0
// Systems of heads and the figures of one seed, on made-up vectors whose answers are known.
#include "study/seed_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "study/made_up_sweep.h"
#include "study/sweep_score.h"
#include "study/sweep_system.h"

namespace fathom::test::seed_figures_test {
namespace {

using testing::Each;
using testing::ElementsAre;

std::vector<double> alternating(size_t n) {
  std::vector<double> gold;
  for (size_t i = 0; i < n; ++i) gold.push_back(static_cast<double>(i % 2));
  return gold;
}

// Two of four examples are surely right at once, on the evaluated rows surer than any to train; the
// others are unsure, and wrong before layer 4.
MadeUpSweep easy_and_hard() {
  const auto value = [](double surer) {
    return [=](size_t l, size_t i) {
      const bool hard = i % 4 > 1, right = !hard || l == 4;
      const double sure = hard && l < 4 ? 0.1 + 0.001 * static_cast<double>(i % 50)
                                        : 3 + surer + 0.01 * static_cast<double>(i % 50);
      return (i % 2 == 1) == right ? sure : -sure;
    };
  };
  return MadeUpSweep("sst2", 4, alternating(200), value(0), alternating(100), value(1));
}

TEST(ExitTable, OfAnswersIsTheOneOfTheExitsThemselves) {
  MadeUpSweep sweep = easy_and_hard();
  const SweepTask t = sweep.task();
  const SweepRows rows = evaluated_of(t);
  const HeadAnswers answers =
      answers_of(t, fit_input_heads(t, HeadInput::kLayer, {}), rows.split, rows.rows);
  for (Measure m : kMeasures) {
    if (!goes_by_answers(m) || !fits_task(m, t.task)) continue;
    const ExitRule rule = make_rule(t, m, all_exits(t), {});
    const ExitTable ours = exit_table(rule, answers, 1),
                    theirs = run_exits(rule, {rows.split.cache, rows.rows, rows.split.gold, 1},
                                       ExitLoss::kConsistency, t.pool);
    EXPECT_EQ(ours.layers, theirs.layers);
    EXPECT_EQ(ours.answer, theirs.answer) << name_of(m);
    EXPECT_EQ(ours.loss, theirs.loss) << name_of(m);
    // Patience's confidence is its count, which nothing but a trace reads.
    if (m != Measure::kPatience) {
      EXPECT_EQ(ours.confidence, theirs.confidence) << name_of(m);
    }
    for (const OperatingPoint& at : operating_points(rule, theirs, 20))
      EXPECT_EQ(stops(rule, ours, at), stops(rule, theirs, at)) << name_of(m);
  }
}

TEST(CoincidingMeasures, AreThoseByTheLargestProbabilityOfTwoClasses) {
  const std::vector<Measure> all = {Measure::kEntropy, Measure::kPcee, Measure::kMargin,
                                    Measure::kMaxProbability, Measure::kPatience};
  EXPECT_THAT(distinct_measures(all, find_task("sst2")),
              ElementsAre(Measure::kEntropy, Measure::kPcee, Measure::kPatience));
  EXPECT_EQ(distinct_measures(all, find_task("trec")), all);
  // They do: the same operating points let the same examples stop.
  MadeUpSweep sweep = easy_and_hard();
  const SweepTask t = sweep.task();
  const Method a = exit_method(t, Measure::kMargin, {}), b = exit_method(t, Measure::kEntropy, {});
  ASSERT_EQ(a.points.size(), b.points.size());
  for (size_t i = 0; i < a.points.size(); ++i)
    EXPECT_EQ(a.points[i].evaluated.layer, b.points[i].evaluated.layer) << i;
}

TEST(System, CostsWhatItReadsAndMultiplies) {
  MadeUpSweep sweep = easy_and_hard();
  const SweepTask t = sweep.task();
  const std::vector<MethodPoint> layers = layer_points(t);
  InputHeads plain{HeadInput::kLayer, fit_input_heads(t, HeadInput::kLayer, {}), {}},
      both{HeadInput::kFirstAndLayer, fit_input_heads(t, HeadInput::kFirstAndLayer, {}), {}};
  for (InputHeads* h : {&plain, &both}) h->refitted = refit_on_all(t, h->heads, {});
  const std::vector<SweepSystem> ensembles = systems_of(t, plain, {}, {}),
                                 systems = systems_of(t, both, {}, {});
  ASSERT_EQ(ensembles.size(), 1u);
  ASSERT_EQ(systems.size(), 2u);
  EXPECT_EQ(ensembles[0].name(), "layer, ensemble");
  EXPECT_EQ(systems[0].name(), "first+layer");
  // Vectors of one number, ten tokens: a head costs 2, a second weight 2 more, pooling a boundary 10.
  const double plain_cost = layers[3].evaluated.flops[0];
  EXPECT_NEAR(systems[0].fixed[2].evaluated.flops[0] - plain_cost, 2 + 10, 1e-6);
  EXPECT_NEAR(ensembles[0].fixed[2].evaluated.flops[0] - plain_cost, 2 * (2 + 10), 1e-6);
  EXPECT_NEAR(ensembles[0].fixed[0].evaluated.flops[0], layers[1].evaluated.flops[0], 1e-6);
  // At layer 2 the ensemble of two unsure heads says what both say.
  EXPECT_EQ(ensembles[0].fixed[1].evaluated.answer, layers[2].evaluated.answer);
}

class OneSeed : public testing::Test {
 protected:
  MadeUpSweep sweep_ = easy_and_hard();
  const SweepTask task_ = sweep_.task();
  const SeedFigures f_ =
      seed_figures(task_, layer_points(task_),
                   {.measures = {Measure::kMaxProbability, Measure::kMargin, Measure::kPatience},
                    .inputs = {HeadInput::kLayer, HeadInput::kFirstAndLayer},
                    .bootstrap = {.n_resample = 50},
                    .seed = 7});
};

TEST_F(OneSeed, ExitsLieAboveTheCurveOfEveryFixedDepth) {
  EXPECT_EQ(f_.seed, 7u);
  ASSERT_EQ(f_.fixed.size(), 16u) << "two inputs, ensembles, all rows, envelopes";
  EXPECT_EQ(f_.fixed[0].name(), "layer");
  EXPECT_EQ(f_.fixed[1].name(), "layer, envelope");
  EXPECT_EQ(f_.fixed[3].name(), "layer, envelope, all rows");
  // Layers 1 to 3 are right on half, layer 4 on all: of the costs 1 to 4 in 12 steps the last three
  // lie on the line from 0.5 at layer 3 to 1 at layer 4, at 3.18, 3.45, 3.73 and 4.
  double above = 0;
  for (double cost : {35.0 / 11, 38.0 / 11, 41.0 / 11, 4.0}) above += (cost - 3) / 2;
  EXPECT_NEAR(f_.fixed[0].quality.value, 0.5 + above / 12, 1e-3);
  EXPECT_EQ(f_.fixed[0].quality.replicates.size(), 50u);
  const auto exits = std::ranges::find(f_.exits, "max-prob", &ExitCurve::measure);
  ASSERT_NE(exits, f_.exits.end());
  EXPECT_EQ(exits->system, "layer");
  EXPECT_EQ(std::ranges::count(f_.exits, "margin", &ExitCurve::measure), 0) << "the same thing";
  // All right from a mean depth of 2.5 on, and on the line from layer 1 to there.
  double quality = 0;
  for (int k = 0; k < 12; ++k) quality += std::min(1.0, 0.5 + 0.5 * (3.0 * k / 11) / 1.5);
  EXPECT_NEAR(exits->quality.value, quality / 12, 0.01);
  EXPECT_NEAR(exits->on_calibration, exits->quality.value, 0.01);
}

TEST_F(OneSeed, TheCheapestPointKeepsTheQuality) {
  const auto kept = [&](double share, const char* by) {
    return *std::ranges::find_if(
        f_.kept, [&](const KeptPoint& k) { return k.share == share && k.by == by; });
  };
  ASSERT_EQ(f_.kept.size(), 12u);
  EXPECT_EQ(kept(0.99, "fixed").setting, "layer 4");
  EXPECT_EQ(kept(0.99, "fixed").log_factor.value, 0);
  const KeptPoint exits = kept(1, "exits");
  EXPECT_NEAR(std::exp(exits.log_factor.value), 4 / 2.5, 0.01);
  EXPECT_EQ(exits.loss.value, 0);
  EXPECT_THAT(exits.setting, testing::StartsWith("max-prob, threshold "));
}

TEST_F(OneSeed, TellsCalibrationDepthAndThresholds) {
  ASSERT_EQ(f_.calibration_error.size(), 4u);
  EXPECT_LT(f_.calibration_error[3], 0.06) << "right, and as sure as 95 %";
  EXPECT_GT(f_.calibration_error[0], 0.2) << "half is wrong, at 52 %";
  std::vector<std::string> groups;
  for (const DepthGroup& g : f_.depth) groups.push_back(g.by + " " + g.group);
  EXPECT_THAT(groups, ElementsAre("length 10 to 10 tokens", "oracle layer 1", "oracle layer 4"));
  EXPECT_EQ(f_.depth[0].n, 100);
  EXPECT_NEAR(f_.depth[0].depth, 2.5, 1e-12);
  EXPECT_EQ(f_.depth[1].depth, 1) << "what is easy leaves at once";
  EXPECT_EQ(f_.depth[2].depth, 4);
  EXPECT_EQ(f_.depth[2].right, 1);
  ASSERT_EQ(f_.thresholds.size(), 1u) << "patience has none";
  EXPECT_EQ(f_.thresholds[0].full, 1);
  EXPECT_TRUE(std::ranges::is_sorted(f_.thresholds[0].threshold));
}

TEST_F(OneSeed, JsonIsReadAsItWasWritten) {
  const OrderedJson json = to_json(f_);
  const SeedFigures read = seed_figures_from_json(json, "part");
  EXPECT_EQ(dump_json(to_json(read)), dump_json(json));
  EXPECT_EQ(read.fixed[2].quality.replicates, f_.fixed[2].quality.replicates);
  OrderedJson wrong = json;
  wrong["thresholds"][0]["share"].erase(0);
  EXPECT_THROW(seed_figures_from_json(wrong, "part"), Error);
}

}  // namespace
}  // namespace fathom::test::seed_figures_test
