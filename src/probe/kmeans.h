// SPDX-License-Identifier: Apache-2.0
// k-means (Lloyd) from k-means++ starts (Arthur and Vassilvitskii, 2007), squared Euclidean
// distance. The same clusters for the same rows and seed on every platform: draws come from the
// project's own generator, sums are double and in the order of rows. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/matrix.h"

namespace fathom {

struct KMeansOptions {
  size_t n_cluster = 8;
  size_t n_restart = 10;  // the start with the least inertia wins, of equal ones the first
  size_t max_iteration = 100;
  uint64_t seed = 1;
};

struct KMeans {
  std::vector<float> centroids;   // (n_cluster, dim)
  std::vector<uint32_t> cluster;  // (n) of the nearest centroid, of equally near ones the first
  double inertia = 0;             // sum of squared distances to it
};

// No cluster is empty: one that loses its rows starts again at the row farthest from its centroid.
// Throws Error: fewer different rows than clusters; a number that is not finite.
KMeans fit_kmeans(Matrix<const float> rows, const KMeansOptions& options);

}  // namespace fathom
