// SPDX-License-Identifier: Apache-2.0
#include "probe/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/error_of.h"
#include "probe/folds.h"
#include "probe/learned_to_exit.h"
#include "probe/random_data.h"
#include "probe/ridge.h"
#include "probe/standardise.h"

namespace fathom::test::fit_test {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

// All rows of the small problem, standardised.
struct Whole {
  SmallProblem small;
  std::vector<size_t> rows = std::vector<size_t>(60);
  Standardisation standardisation;

  Whole() {
    std::iota(rows.begin(), rows.end(), size_t{0});
    standardisation = Standardisation::of(small.data.x(), rows);
  }
  Problem problem(const std::vector<double>& gold, size_t n_class) const {
    return {small.data.x(), gold, rows, standardisation, n_class};
  }
};

TEST(Folds, AreDealtOutWithinStrata) {
  // From a separate program (Python integers); a change here changes users' results.
  const std::vector<uint32_t> strata = {0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1};
  EXPECT_THAT(assign_folds(strata, 3, 5), ElementsAre(1, 1, 1, 2, 1, 2, 0, 0, 2, 0, 2, 0));
  std::vector<uint32_t> many(1003);
  for (size_t i = 0; i < many.size(); ++i) many[i] = i % 7 == 0;
  const std::vector<uint32_t> fold = assign_folds(many, 10, 1);
  std::vector<size_t> size(10), positive(10);
  for (size_t i = 0; i < many.size(); ++i) {
    ++size[fold[i]];
    positive[fold[i]] += many[i];
  }
  for (size_t f = 0; f < 10; ++f) {
    EXPECT_NEAR(static_cast<double>(size[f]), 100.3, 1);
    EXPECT_NEAR(static_cast<double>(positive[f]), 14.4, 1);
  }
  EXPECT_NE(assign_folds(many, 10, 2), fold);
  EXPECT_THROW(assign_folds(strata, 13, 1), Error);
  EXPECT_THROW(assign_folds(strata, 1, 1), Error);
}

TEST(Folds, DrawRowsWithoutReplacement) {
  EXPECT_THAT(draw_rows(12, 4, 4), ElementsAre(1, 5, 7, 10));
  EXPECT_THAT(draw_rows(3, 5, 1), ElementsAre(0, 1, 2));
}

TEST(Solvers, BinaryIsTheMinimumOfTheLogisticLoss) {
  const Whole whole;
  const Problem problem = whole.problem(whole.small.binary, 2);
  const std::vector<double> expected = {0.963037, 0.367164, -0.007233, -0.103004, 0.001968};
  EXPECT_THAT(fit_binary(problem, 0.1), Pointwise(DoubleNear(2e-4), expected));
  EXPECT_THAT(fit_softmax(problem, 0.1), Pointwise(DoubleNear(2e-4), expected))
      << "the solver for sets too large for liblinear finds the same minimum";
}

TEST(Solvers, SoftmaxIsTheMinimumForThreeClasses) {
  const Whole whole;
  EXPECT_THAT(fit_softmax(whole.problem(whole.small.ternary, 3), 0.1),
              Pointwise(DoubleNear(1e-4),
                        std::vector<double>{-0.622574, -0.486544, -0.036139, 0.09465, 0.125727,
                                            -0.289538, 0.487465, 0.069738, 0.080073, -0.304136,
                                            0.912112, -0.000921, -0.0336, -0.174722, 0.178409}));
}

// Features of very different use and a large C: flat directions beside steep ones.
TEST(Solvers, SoftmaxFromAnyTwoStartsIsTheSame) {
  constexpr size_t kRows = 400, kDim = 12;
  RandomData data(kRows, kDim, 5);
  std::vector<double> gold;
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t j = 1; j < kDim; ++j)  // nearly the same direction
      data.values[i * kDim + j] = data.values[i * kDim] + 0.02f * data.values[i * kDim + j];
    const float own = data.values[i * kDim] + (i % 7 == 0 ? 1.0f : 0.0f);
    gold.push_back(own > 0.4f ? 2 : own > -0.3f ? 1 : 0);
  }
  std::vector<size_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), size_t{0});
  const Standardisation standardisation = Standardisation::of(data.x(), rows);
  std::vector<double> binary = gold;
  for (double& g : binary) g = std::min(g, 1.0);
  for (const auto& [n_class, of] :
       {std::pair<size_t, const std::vector<double>*>{3, &gold}, {2, &binary}}) {
    const Problem problem{data.x(), *of, rows, standardisation, n_class};
    for (double c : {0.1, 1.0, 100.0}) {
      const std::vector<double> zeros = fit_softmax(problem, c);
      std::vector<double> far(zeros.size());
      for (size_t i = 0; i < far.size(); ++i) far[i] = i % 2 ? 3 : -2;
      EXPECT_THAT(fit_softmax(problem, c, {.start = far}), Pointwise(DoubleNear(1e-6), zeros)) << c;
    }
  }
}

TEST(Solvers, RidgeIsTheClosedForm) {
  const Whole whole;
  const auto weights = fit_scores(whole.problem(whole.small.score, 1), {{1, 0.1}});
  ASSERT_EQ(weights.size(), 2u);
  EXPECT_THAT(weights[1],
              Pointwise(DoubleNear(1e-6),
                        std::vector<double>{0.99892, 0.037364, -0.465306, -0.031053, 2.972289}));
}

TEST(Solvers, LiblinearIsSilent) {
  const Whole whole;
  testing::internal::CaptureStdout();
  fit_binary(whole.problem(whole.small.binary, 2), 1);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(FitHead, ChoosesCOnOneStratifiedTenth) {
  const SmallProblem small;
  const FittedHead binary = fit_head(FeatureKind::kPooled, small.data.x(), small.binary, 2);
  EXPECT_EQ(binary.c, 1);
  EXPECT_THAT(binary.cut_loss,
              Pointwise(DoubleNear(2e-4),
                        std::vector<double>{0.69233, 0.685129, 0.625885, 0.421169, 0.24265}));
  EXPECT_NEAR(binary.head.temperature, 0.29153, 1e-3);
  EXPECT_EQ(binary.head.n_class, 2u);
  const FittedHead score = fit_head(FeatureKind::kPooled, small.data.x(), small.score, 1);
  EXPECT_THAT(score.cut_loss,
              Pointwise(DoubleNear(1e-5),
                        std::vector<double>{0.624329, 0.576586, 0.309171, 0.035968, 0.00747}));
  EXPECT_EQ(score.head.temperature, 1);
}

// One C: no choice, so that the head is the solver's with the standardisation folded in.
TEST(FitHead, TakesFeaturesAsTheyAre) {
  const SmallProblem small;
  const FittedHead fitted =
      fit_head(FeatureKind::kPooled, small.data.x(), small.binary, 2, {.c = {0.1}});
  const std::vector<double> expected = {1.650881, 0.633227, -0.013072, -0.182879};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(fitted.head.weight[i], expected[i], 5e-4);
  EXPECT_NEAR(fitted.head.bias[0], -0.018017, 5e-4);
}

TEST(FitHead, LearnsFromEveryKindOfGold) {
  const RandomData data(600, 3, 11);
  std::vector<double> label, score;
  for (size_t i = 0; i < 600; ++i) {
    label.push_back(data.at(i, 0) > 0.3 ? 2 : data.at(i, 1) > 0 ? 1 : 0);
    score.push_back(4 * data.at(i, 2) - 1);
  }
  const LinearHead classes = fit_head(FeatureKind::kPooled, data.x(), label, 3).head;
  const LinearHead value = fit_head(FeatureKind::kPooled, data.x(), score, 1).head;
  size_t right = 0;
  std::vector<double> z(3);
  for (size_t i = 0; i < 600; ++i) {
    classes.logits(data.x().row(i), z);
    right += argmax(z) == static_cast<size_t>(label[i]);
    EXPECT_NEAR(value.value(data.x().row(i)), score[i], 0.05);
  }
  EXPECT_GT(right, 560u);
}

TEST(FitHead, IgnoresConstantFeatures) {
  RandomData data(60, 2, 3);
  for (size_t i = 0; i < 60; ++i) data.values[2 * i + 1] = 7.1f;
  std::vector<double> gold;
  for (size_t i = 0; i < 60; ++i) gold.push_back(data.at(i, 0) > 0);
  const LinearHead head = fit_head(FeatureKind::kPooled, data.x(), gold, 2).head;
  EXPECT_GT(head.weight[0], 0);
  EXPECT_EQ(head.weight[1], 0);
}

TEST(FitHead, RefusesWhatCannotBeFitted) {
  SmallProblem small;
  const auto fit = [&](std::vector<double> gold, size_t n_class, size_t n = 60) {
    gold.resize(n);
    return error_of(
        [&] { fit_head(FeatureKind::kPooled, small.data.x().slice(0, n), gold, n_class); });
  };
  EXPECT_THAT(fit(small.binary, 2, 19), HasSubstr("at least 20 rows to fit, got 19"));
  EXPECT_THAT(fit(small.binary, 3), HasSubstr("no row of class 2"));
  std::vector<double> score = small.score;
  score[4] = std::nan("");
  EXPECT_THAT(fit(score, 1), HasSubstr("row 5 has no gold value"));
  small.data.values[8] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(fit(small.binary, 2), HasSubstr("features of row 3 are not finite"));
}

TEST(Temperature, MinimisesTheNegativeLogLikelihood) {
  // Logits that are right 3 times out of 4, whatever they claim: softmax(z / T) has to say 0.75.
  const std::vector<double> z = {0, 10, 0, 10, 0, 10, 0, 10};
  EXPECT_NEAR(fit_temperature({z.data(), 4, 2}, {{1, 1, 0, 1}}), 10 / std::log(3.0), 1e-4);
  EXPECT_NEAR(fit_temperature({z.data(), 4, 2}, {{1, 1, 1, 1}}), 0.05, 1e-4) << "at the bound";
  EXPECT_NEAR(fit_temperature({z.data(), 4, 2}, {{1, 0, 1, 0}}), 20, 1e-3) << "at the bound";
  EXPECT_EQ(fit_temperature({z.data(), 0, 2}, {}), 1);
}

TEST(Prototypes, AreClassMeansInUnitsOfTheDeviation) {
  const std::vector<float> x = {1, 5, 3, 5, 10, 5, 12, 5};
  const Prototypes p = fit_prototypes({x.data(), 4, 2}, {{0, 0, 1, 1}}, 2);
  EXPECT_THAT(p.mean, ElementsAre(2, 5, 11, 5));
  EXPECT_EQ(p.scale[1], 0) << "a constant feature says nothing";
  std::vector<double> d(2);
  p.distances(std::vector<float>{5, 100}, d);
  EXPECT_NEAR(d[0], 3 * p.scale[0], 1e-6);
  EXPECT_NEAR(d[1], 6 * p.scale[0], 1e-6);
  EXPECT_NEAR(p.scale[0], 1 / std::sqrt(21.25), 1e-6);
  EXPECT_THAT(error_of([&] {
                fit_prototypes({x.data(), 4, 2}, {{0, 0, 2, 2}}, 3);
              }),
              HasSubstr("no row of class 1"));
}

TEST(LearnedToExit, IsTheMinimumOfTheLogisticLoss) {
  const SmallProblem small;
  const std::vector<uint32_t> wrong(small.binary.begin(), small.binary.end());
  const LearnedToExit lte = fit_learned_to_exit(small.data.x(), wrong);
  const std::vector<double> expected = {4.120895, 1.567514, 0.111884, -0.399576};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(lte.weight[i], expected[i], 1e-3);
  EXPECT_NEAR(lte.bias, -0.061541, 1e-3);
  const std::vector<float> e = {0.5f};
  const double z = 0.5 * lte.weight[0] + 0.9 * lte.weight[1] + 0.2 * lte.weight[2] +
                   0.8 * lte.weight[3] + lte.bias;
  EXPECT_NEAR(lte.probability_wrong(e, 0.9, 0.2, 0.8), 1 / (1 + std::exp(-z)), 1e-12);
}

TEST(LearnedToExit, StaysFiniteWhereAllAreRight) {
  const SmallProblem small;
  const LearnedToExit lte = fit_learned_to_exit(small.data.x(), std::vector<uint32_t>(60));
  EXPECT_LT(lte.probability_wrong(std::vector<float>{0}, 0, 0, 0), 0.1);
  EXPECT_THROW(fit_learned_to_exit({}, {}), Error);
}

TEST(LinearMap, IsTheRidgeSolution) {
  const SmallProblem small;
  std::vector<float> y;
  for (size_t i = 0; i < 60; ++i) {
    y.push_back(static_cast<float>(small.data.at(i, 0) + small.data.at(i, 1)));
    y.push_back(static_cast<float>(small.data.at(i, 2)));
  }
  const std::vector<float> map = fit_linear_map(small.data.x(), {y.data(), 60, 2}, 2);
  const std::vector<double> expected = {0.9223629,   0.002353277, 0.9211917,   -0.0001942471,
                                        0.002159034, 0.9008680,   -0.01038527, 0.01415416};
  EXPECT_THAT(map, Pointwise(testing::FloatNear(1e-5f),
                             std::vector<float>(expected.begin(), expected.end())));
}

}  // namespace
}  // namespace fathom::test::fit_test
