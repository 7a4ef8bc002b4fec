// SPDX-License-Identifier: Apache-2.0
#include "probe/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/error_of.h"

namespace fathom::probe_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Floats = std::vector<float>;

TEST(Features, HaveTheirFormulas) {
  const Floats u = {3, 0}, v = {3, 4};
  Floats pooled(2), symmetric(5), ordered(9);
  build_features(FeatureKind::kPooled, u, {}, pooled);
  EXPECT_THAT(pooled, ElementsAre(3, 0));
  build_features(FeatureKind::kSymmetricPair, u, v, symmetric);
  EXPECT_THAT(symmetric, ElementsAre(0, 4, 9, 0, 0.6f));
  build_features(FeatureKind::kOrderedPair, u, v, ordered);
  EXPECT_THAT(ordered, ElementsAre(3, 0, 3, 4, 0, 4, 9, 0, 0.6f));
  Floats swapped(5);
  build_features(FeatureKind::kSymmetricPair, v, u, swapped);
  EXPECT_EQ(swapped, symmetric);
  build_features(FeatureKind::kSymmetricPair, Floats{0, 0}, v, symmetric);
  EXPECT_EQ(symmetric.back(), 0) << "cosine with a zero vector";
  for (FeatureKind kind :
       {FeatureKind::kPooled, FeatureKind::kSymmetricPair, FeatureKind::kOrderedPair})
    EXPECT_EQ(parse_feature_kind(name_of(kind)), kind);
  EXPECT_THROW(parse_feature_kind("pair"), Error);
}

TEST(Features, ExitVectorOfASentenceAndAPair) {
  Floats out(2);
  exit_vector(Floats{1, -2}, {}, out);
  EXPECT_THAT(out, ElementsAre(1, -2));
  exit_vector(Floats{1, -2}, Floats{3, 1}, out);
  EXPECT_THAT(out, ElementsAre(2, 3));
}

TEST(LinearHead, LogitsAreDividedByTheTemperature) {
  const LinearHead three{FeatureKind::kPooled, 3, {1, 0, 0, 1, 1, 1}, {0, 0, -1}, 2};
  std::vector<double> z(3);
  three.logits(Floats{4, 2}, z);
  EXPECT_THAT(z, ElementsAre(2, 1, 2.5));
  EXPECT_EQ(argmax(z), 2u);
  // Two classes share a row.
  const LinearHead two{FeatureKind::kPooled, 2, {1, 1}, {0.5f}, 0.5f};
  std::vector<double> y(2);
  two.logits(Floats{1, 2}, y);
  EXPECT_THAT(y, ElementsAre(0, 7));
  const LinearHead value{FeatureKind::kPooled, 1, {1, 2}, {0.5f}};
  EXPECT_EQ(value.value(Floats{1, 1}), 3.5);
}

TEST(Softmax, DoesNotOverflow) {
  std::vector<double> p(3);
  softmax(std::vector<double>{1e4, 1e4, -1e4}, p);
  EXPECT_THAT(p, ElementsAre(0.5, 0.5, 0));
  softmax(p, p);  // in place
  EXPECT_NEAR(p[0] + p[1] + p[2], 1, 1e-15);
}

TEST(LinearHead, ComesBackAsItWasSaved) {
  const LinearHead head{FeatureKind::kSymmetricPair, 2, Floats(5, 0.25f), {1}, 1.5f};
  const Prototypes prototypes{Floats(10, 2), Floats(5, 1)};
  const LearnedToExit lte{Floats(5, -1), 3};
  std::vector<NamedArray> arrays;
  save(head, "layer.3.head.", arrays);
  save(prototypes, "layer.3.prototypes.", arrays);
  save(lte, "lte.", arrays);
  const LinearHead back = load_head(arrays, "layer.3.head.", FeatureKind::kSymmetricPair, 2, 2);
  EXPECT_EQ(back.weight, head.weight);
  EXPECT_EQ(back.bias, head.bias);
  EXPECT_EQ(back.temperature, 1.5f);
  EXPECT_EQ(load_prototypes(arrays, "layer.3.prototypes.", 2, 5).mean, prototypes.mean);
  EXPECT_EQ(load_learned_to_exit(arrays, "lte.", 2).weight, lte.weight);

  const auto load = [&](FeatureKind kind, size_t n_class, size_t dim) {
    return error_of([&] { load_head(arrays, "layer.3.head.", kind, n_class, dim); });
  };
  EXPECT_THAT(load(FeatureKind::kSymmetricPair, 3, 2),
              HasSubstr("layer.3.head.weight: expected shape (3, 5), got (1, 5)"));
  EXPECT_THAT(load(FeatureKind::kOrderedPair, 2, 2), HasSubstr("expected shape (1, 9)"));
  EXPECT_THAT(error_of([&] { load_head(arrays, "layer.4.", FeatureKind::kPooled, 2, 2); }),
              HasSubstr("layer.4.weight: missing"));
  arrays[2].values = {0};
  EXPECT_THAT(load(FeatureKind::kSymmetricPair, 2, 2), HasSubstr("a temperature above 0"));
  arrays[0].values[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(load(FeatureKind::kSymmetricPair, 2, 2), HasSubstr("number 3 is not finite"));
}

}  // namespace
}  // namespace fathom::probe_test
