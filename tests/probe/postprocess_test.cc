// SPDX-License-Identifier: Apache-2.0
#include "probe/postprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "probe/random_data.h"

namespace fathom::test::postprocess_test {
namespace {

using testing::DoubleNear;
using testing::HasSubstr;
using testing::Pointwise;
using Numbers = std::vector<double>;

// The first row of the data after post-processing fitted on all of them.
Numbers first_row(std::string_view kind) {
  const RandomData data(60, 4, 7);
  const Postprocess p = fit_postprocess(parse_postprocess(kind), data.x());
  std::vector<float> out(p.out_dim(4));
  p.apply(data.x().row(0), out);
  return {out.begin(), out.end()};
}

// Eigenvectors have a sign of their own.
Numbers absolute(Numbers x) {
  for (double& v : x) v = std::abs(v);
  return x;
}

TEST(Postprocess, EveryKindIsItsFormula) {
  const auto near = [](const Numbers& expected) { return Pointwise(DoubleNear(2e-6), expected); };
  EXPECT_THAT(first_row("centre"), near({-0.243673, -0.943095, 0.738385, 0.1498}));
  EXPECT_THAT(first_row("scale"), near({-0.417715, -1.626505, 1.334436, 0.265965}));
  EXPECT_THAT(first_row("abtt:1"), near({0.353923, -0.339745, 0.577471, -0.22844}));
  EXPECT_EQ(first_row("abtt"), first_row("abtt:1")) << "at least one direction";
  EXPECT_THAT(absolute(first_row("whiten")), near({1.474025, 0.50949, 0.874809, 1.113395}));
  EXPECT_THAT(absolute(first_row("soft:0.5:2")), near({1.179271, 0.392264}));
  EXPECT_EQ(first_row("soft:1:3"), first_row("whiten:3"));
  const RandomData data(60, 4, 7);
  const Numbers raw = first_row("none");
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(raw[i], data.at(0, i));
}

TEST(Postprocess, WhitenedVectorsHaveUnitCovariance) {
  const RandomData data(500, 6, 2);
  const Postprocess p = fit_postprocess(parse_postprocess("whiten"), data.x());
  std::vector<float> out(6);
  Numbers moment(36);
  for (size_t i = 0; i < 500; ++i) {
    p.apply(data.x().row(i), out);
    for (size_t a = 0; a < 36; ++a) moment[a] += double{out[a / 6]} * out[a % 6] / 500;
  }
  for (size_t a = 0; a < 36; ++a) EXPECT_NEAR(moment[a], a / 6 == a % 6 ? 1 : 0, 1e-5);
}

// Fewer texts than dimensions: only what varies can be whitened. The size stays, so that layers with
// more and with fewer such directions (layer 0 lacks one, by ln0) go into one array.
TEST(Postprocess, GivesZeroWhereNothingVaries) {
  const RandomData data(5, 16, 2);
  const Postprocess p = fit_postprocess(parse_postprocess("whiten"), data.x());
  ASSERT_EQ(p.out_dim(16), 16u);
  for (float w : p.matrix) EXPECT_TRUE(std::isfinite(w));
  std::vector<float> out(16);
  p.apply(data.x().row(0), out);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(out[i] != 0, i < 4) << i;
  EXPECT_THROW(fit_postprocess(parse_postprocess("whiten:5"), data.x()), Error);
}

TEST(Postprocess, ComesBackAsItWasSaved) {
  const RandomData data(60, 4, 7);
  for (const char* kind : {"none", "centre", "scale", "abtt:2", "soft:0.5:3"}) {
    const Postprocess p = fit_postprocess(parse_postprocess(kind), data.x());
    std::vector<NamedArray> arrays = {{"layer.2.post.mean", {9}, std::vector<float>(9)}};
    save(p, "layer.1.post.", arrays);
    const Postprocess back = load_postprocess(arrays, "layer.1.post.", 4);
    EXPECT_EQ(back.mean, p.mean) << kind;
    EXPECT_EQ(back.scale, p.scale) << kind;
    EXPECT_EQ(back.removed, p.removed) << kind;
    EXPECT_EQ(back.matrix, p.matrix) << kind;
  }
  std::vector<NamedArray> bad = {{"p.scale", {4}, std::vector<float>(4)}};
  EXPECT_THROW(load_postprocess(bad, "p.", 4), Error) << "no mean";
  bad = {{"p.mean", {3}, std::vector<float>(3)}};
  EXPECT_THROW(load_postprocess(bad, "p.", 4), Error) << "another dimension";
  bad = {{"p.mean", {4}, std::vector<float>(4)}, {"p.matrix", {2, 3}, std::vector<float>(6)}};
  EXPECT_THROW(load_postprocess(bad, "p.", 4), Error);
  bad = {{"p.mean", {4}, std::vector<float>(4)}, {"p.matrix", {}, {1}}};
  EXPECT_THROW(load_postprocess(bad, "p.", 4), Error);
}

TEST(Postprocess, NamesWhatItWants) {
  for (const char* text : {"", "pca", "centre:1", "abtt:0", "abtt:x", "abtt:1:2", "whiten:-1",
                           "soft", "soft:2", "soft:-0.1", "soft:nan", "soft:0.5:", "soft:0.5:4:4"})
    EXPECT_THROW(parse_postprocess(text), UsageError) << text;
  EXPECT_EQ(parse_postprocess("soft:0.25:64").n_direction, 64u);
  EXPECT_EQ(parse_postprocess("soft:0.25").power, 0.25);
}

TEST(Postprocess, RefusesWhatCannotBeFitted) {
  RandomData data(3, 2, 1);
  EXPECT_THROW(fit_postprocess(parse_postprocess("centre"), data.x().slice(0, 1)), Error);
  data.values[1] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(fit_postprocess(parse_postprocess("whiten"), data.x()), Error);
  const std::vector<float> constant(8, 3);
  EXPECT_THROW(fit_postprocess(parse_postprocess("whiten"), {constant.data(), 4, 2}), Error);
}

}  // namespace
}  // namespace fathom::test::postprocess_test
