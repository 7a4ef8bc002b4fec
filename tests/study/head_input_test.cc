// SPDX-License-Identifier: Apache-2.0
// Heads that read more than their own layer, on made-up vectors of one number.
#include "study/head_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error_of.h"
#include "base/invalid_option.h"
#include "base/random.h"
#include "study/made_up_sweep.h"
#include "study/sweep_exit.h"

namespace fathom::test::head_input_test {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;

std::vector<double> alternating(size_t n) {
  std::vector<double> gold;
  for (size_t i = 0; i < n; ++i) gold.push_back(static_cast<double>(i % 2));
  return gold;
}
// In (-1, 1), another number for each example, layer and salt.
double noise(size_t i, size_t layer, uint64_t salt) {
  Random random(1000 * i + 10 * layer + salt);
  return static_cast<double>(random.next() >> 11) * 0x1p-52 - 1;
}

double accuracy(const SweepTask& t, std::span<const InputHead> heads, size_t layer) {
  const SweepRows rows = evaluated_of(t);
  const HeadAnswers a = answers_of(t, heads, rows.split, rows.rows);
  std::vector<double> answer;
  for (size_t i = 0; i < a.n_example; ++i) answer.push_back(a.answer(layer, i));
  return leading_score(t, answer, t.evaluated.gold);
}

TEST(HeadInput, NamesAreReadAndRefused) {
  EXPECT_THAT(parse_head_inputs("mean,first+layer,mean"),
              ElementsAre(HeadInput::kLayer, HeadInput::kMean, HeadInput::kFirstAndLayer));
  EXPECT_THAT(parse_head_inputs(""), ElementsAre(HeadInput::kLayer));
  EXPECT_THAT(error_of([] { parse_head_inputs("layer,last"); }), HasSubstr("got 'last'"));
}

TEST(HeadReading, PutsLayersSideBySideOrAddsThem) {
  const ValueAt value = [](size_t l, size_t i) { return static_cast<double>(10 * l + i); };
  MadeUpSweep sweep("sst2", 4, alternating(4), value, alternating(4), value);
  const FeatureCache& cache = sweep.task().train.cache;
  std::vector<float> out(3);
  HeadReading{.layers = {0, 2, 4}}.read(cache, 1, out);
  EXPECT_THAT(out, ElementsAre(1, 21, 41));
  out.resize(1);
  const HeadReading sum{.layers = {1, 3}, .weights = {0.5f, 2.0f}};
  sum.read(cache, 3, out);
  EXPECT_THAT(out, ElementsAre(0.5f * 13 + 2 * 33));
  EXPECT_EQ(sum.dim(192), 192u);
  EXPECT_EQ((HeadReading{.layers = {0, 2, 4}}.dim(192)), 576u);
}

// Layer l is layer 0 and a step towards the class: nothing tells it but the difference of the two.
TEST(HeadInput, FirstAndLayerSeesWhatALayerAddsToTheFirst) {
  const auto value = [](uint64_t salt) {
    return [=](size_t l, size_t i) {
      const double step = (i % 2 == 1 ? 0.1 : -0.1) * (1.5 + noise(i, l, salt));
      return 10 * noise(i, 0, salt) + (l > 0 ? step : 0);
    };
  };
  MadeUpSweep sweep("sst2", 3, alternating(400), value(1), alternating(200), value(2));
  const SweepTask t = sweep.task();
  const std::vector<InputHead> both = fit_input_heads(t, HeadInput::kFirstAndLayer, {}),
                               all = fit_input_heads(t, HeadInput::kConcat, {});
  ASSERT_EQ(both.size(), 3u);
  EXPECT_THAT(both[1].reading.layers, ElementsAre(0, 2));
  EXPECT_THAT(all[1].reading.layers, ElementsAre(0, 1, 2));
  const std::vector<InputHead> plain = fit_input_heads(t, HeadInput::kLayer, {});
  EXPECT_EQ(plain[1].fitted.head.weight, t.fits[2].fitted.head.weight) << "the task's own";
  EXPECT_LT(accuracy(t, plain, 2), 0.6);
  EXPECT_GT(accuracy(t, both, 2), 0.95);
  EXPECT_GT(accuracy(t, all, 3), 0.95);
}

// Layer 2 alone knows the class, the others are noise a hundred times as large.
TEST(HeadInput, MeanLearnsWhichLayerKnows) {
  const auto value = [](uint64_t salt) {
    return [=](size_t l, size_t i) {
      if (l == 2) return (i % 2 == 1 ? 0.01 : -0.01) * (1.2 + noise(i, l, salt));
      return noise(i, l, salt);
    };
  };
  MadeUpSweep sweep("sst2", 4, alternating(400), value(1), alternating(200), value(2));
  const SweepTask t = sweep.task();
  const std::vector<InputHead> heads = fit_input_heads(t, HeadInput::kMean, {});
  const std::vector<float>& w = heads[3].reading.weights;
  ASSERT_EQ(w.size(), 5u);
  // Each weight is a share over the size of its layer: about 0.012 of layer 2, 0.58 of the others.
  const auto share = [&](size_t l) { return double{w[l]} * (l == 2 ? 0.0124 : 0.577); };
  for (size_t l : {0, 1, 3, 4}) EXPECT_GT(share(2), 2 * share(l)) << l;
  EXPECT_GT(accuracy(t, heads, 4), 0.9);
  EXPECT_EQ(heads[3].reading.dim(1), 1u);
}

TEST(HeadInput, RefittedHeadsKeepReadingAndC) {
  const auto value = [](size_t l, size_t i) {
    return (i % 2 == 1 ? 1.0 : -1.0) + 2 * noise(i, l, 1);
  };
  MadeUpSweep sweep("sst2", 2, alternating(300), value, alternating(100), value);
  const SweepTask t = sweep.task();
  const std::vector<InputHead> heads = fit_input_heads(t, HeadInput::kFirstAndLayer, {}),
                               all = refit_on_all(t, heads, {});
  ASSERT_EQ(all.size(), 2u);
  for (size_t i : {0, 1}) {
    EXPECT_EQ(all[i].fitted.c, heads[i].fitted.c);
    EXPECT_EQ(all[i].reading.layers, heads[i].reading.layers);
    // The rows for heads are all rows here, so both are the same fit.
    for (size_t j = 0; j < 2; ++j)
      EXPECT_THAT(all[i].fitted.head.weight[j], FloatNear(heads[i].fitted.head.weight[j], 1e-5f));
  }
}

TEST(Ensemble, IsTheMeanOfWhatThePassedHeadsSay) {
  // Two classes at three layers: chances of class 1 of 0.9, 0.2, 0.1.
  HeadAnswers a{2, 1, {}};
  for (double p : {0.9, 0.2, 0.1}) a.logits.push_back({0, std::log(p / (1 - p))});
  const HeadAnswers mean = ensemble_of(a);
  const auto chance = [&](size_t layer) { return std::exp(mean.at(layer, 0)[1]); };
  EXPECT_NEAR(chance(1), 0.9, 1e-12);
  EXPECT_NEAR(chance(2), 0.55, 1e-12);
  EXPECT_NEAR(chance(3), 0.4, 1e-12);
  EXPECT_EQ(a.answer(2, 0), 0);
  EXPECT_EQ(mean.answer(2, 0), 1);
  EXPECT_EQ(mean.answer(3, 0), 0);
  const HeadAnswers scores{1, 2, {{1, 2}, {3, 6}}};
  EXPECT_EQ(ensemble_of(scores).answer(2, 0), 2);
  EXPECT_EQ(ensemble_of(scores).answer(2, 1), 4);
}

}  // namespace
}  // namespace fathom::test::head_input_test
