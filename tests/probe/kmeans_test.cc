// SPDX-License-Identifier: Apache-2.0
// k-means on points whose clusters are known.
#include "probe/kmeans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "base/error_of.h"
#include "base/random.h"

namespace fathom::test::kmeans_test {
namespace {

using testing::HasSubstr;

// `per` points around each of these centres, within 0.5 of it on both axes, in turn.
std::vector<float> around(std::vector<std::pair<float, float>> centres, size_t per) {
  Random random(3);
  const auto noise = [&] { return static_cast<float>(random.below(1000)) / 1000 - 0.5f; };
  std::vector<float> rows;
  for (size_t i = 0; i < per; ++i)
    for (const auto& [x, y] : centres) {
      rows.push_back(x + noise());
      rows.push_back(y + noise());
    }
  return rows;
}

TEST(KMeans, FindsSeparateGroups) {
  const std::vector<float> rows = around({{0, 0}, {10, 0}, {0, 10}, {10, 10}}, 25);
  for (uint64_t seed : {1, 2, 3}) {
    const KMeans found = fit_kmeans({rows.data(), 100, 2}, {.n_cluster = 4, .seed = seed});
    EXPECT_EQ(std::set(found.cluster.begin(), found.cluster.begin() + 4).size(), 4u);
    for (size_t i = 0; i < 100; ++i) EXPECT_EQ(found.cluster[i], found.cluster[i % 4]);
    // Centroids are means, and inertia is what its name says.
    double inertia = 0;
    for (size_t c = 0; c < 4; ++c)
      for (size_t axis = 0; axis < 2; ++axis) {
        const float centroid = found.centroids[2 * found.cluster[c] + axis];
        double mean = 0;
        for (size_t i = c; i < 100; i += 4) mean += rows[2 * i + axis] / 25.0;
        EXPECT_NEAR(centroid, mean, 1e-5);
        for (size_t i = c; i < 100; i += 4)
          inertia += (rows[2 * i + axis] - centroid) * (rows[2 * i + axis] - centroid);
      }
    EXPECT_NEAR(found.inertia, inertia, 1e-4);
  }
}

TEST(KMeans, EveryRowIsWithTheNearestCentroid) {
  std::vector<float> rows(600);
  Random random(9);
  for (float& v : rows) v = static_cast<float>(random.below(100));
  const KMeans found = fit_kmeans({rows.data(), 200, 3}, {.n_cluster = 7});
  std::set<uint32_t> used;
  for (size_t i = 0; i < 200; ++i) {
    std::vector<double> distance(7);
    for (size_t c = 0; c < 7; ++c)
      for (size_t j = 0; j < 3; ++j) {
        const double d = double{rows[3 * i + j]} - found.centroids[3 * c + j];
        distance[c] += d * d;
      }
    EXPECT_EQ(found.cluster[i], std::ranges::min_element(distance) - distance.begin());
    used.insert(found.cluster[i]);
  }
  EXPECT_EQ(used.size(), 7u);
}

TEST(KMeans, ASeedIsARun) {
  std::vector<float> rows(400);
  Random random(2);
  for (float& v : rows) v = static_cast<float>(random.below(1000));
  const auto run = [&](uint64_t seed) {
    return fit_kmeans({rows.data(), 200, 2}, {.n_cluster = 9, .n_restart = 1, .seed = seed});
  };
  EXPECT_EQ(run(4).cluster, run(4).cluster);
  EXPECT_EQ(run(4).centroids, run(4).centroids);
  EXPECT_NE(run(4).cluster, run(5).cluster);
  // More starts are never worse.
  EXPECT_LE(fit_kmeans({rows.data(), 200, 2}, {.n_cluster = 9, .seed = 4}).inertia, run(4).inertia);
}

TEST(KMeans, TakesTheEnds) {
  const std::vector<float> rows = {1, 5, 9, 9};
  EXPECT_FLOAT_EQ(fit_kmeans({rows.data(), 4, 1}, {.n_cluster = 1}).centroids[0], 6);
  // As many clusters as different rows, some of which are there twice.
  const KMeans each = fit_kmeans({rows.data(), 4, 1}, {.n_cluster = 3});
  EXPECT_EQ(each.inertia, 0);
  EXPECT_EQ(each.cluster[2], each.cluster[3]);
}

// One far point beside many: whatever the start, no cluster ends empty.
TEST(KMeans, NoClusterIsEmpty) {
  std::vector<float> rows = around({{0, 0}}, 40);
  rows.insert(rows.end(), {500, 500, -900, 3});
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const KMeans found =
        fit_kmeans({rows.data(), 42, 2}, {.n_cluster = 12, .n_restart = 1, .seed = seed});
    EXPECT_EQ(std::set(found.cluster.begin(), found.cluster.end()).size(), 12u) << seed;
  }
}

TEST(KMeans, RefusesTooFewOrBadRows) {
  std::vector<float> rows = {1, 1, 2, 2};
  EXPECT_THAT(error_of([&] {
                fit_kmeans({rows.data(), 4, 1}, {.n_cluster = 5});
              }),
              HasSubstr("4 vectors cannot make 5 clusters"));
  EXPECT_THAT(error_of([&] {
                fit_kmeans({rows.data(), 4, 1}, {.n_cluster = 3});
              }),
              HasSubstr("2 different vectors cannot make 3 clusters"));
  rows[2] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(error_of([&] {
                fit_kmeans({rows.data(), 4, 1}, {.n_cluster = 2});
              }),
              HasSubstr("vector 3 is not finite"));
}

}  // namespace
}  // namespace fathom::test::kmeans_test
