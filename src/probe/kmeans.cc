// SPDX-License-Identifier: Apache-2.0
#include "probe/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "base/error.h"
#include "base/random.h"

namespace fathom {
namespace {

double squared_distance(std::span<const float> x, std::span<const float> y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += (double{x[i]} - y[i]) * (double{x[i]} - y[i]);
  return sum;
}

// One start.
class Lloyd {
 public:
  Lloyd(Matrix<const float> rows, const KMeansOptions& options, Random& random)
      : rows_(rows), n_cluster_(options.n_cluster), distance_(rows.rows()) {
    out_.cluster.resize(rows.rows());
    seed(random);
    for (size_t i = 0; i < options.max_iteration && assign(); ++i) move();
    // The centroids that are kept are those that rows were assigned to last.
    assign();
  }
  KMeans result() {
    for (double d : distance_) out_.inertia += d;
    return std::move(out_);
  }
  bool has_empty() const {
    std::vector<bool> used(n_cluster_, false);
    for (uint32_t c : out_.cluster) used[c] = true;
    return std::ranges::find(used, false) != used.end();
  }

 private:
  std::span<float> centroid(size_t c) {
    return std::span(out_.centroids).subspan(c * rows_.cols(), rows_.cols());
  }

  // Each further centroid is a row, drawn with a chance that grows with its squared distance from
  // those that are there.
  void seed(Random& random) {
    std::vector<double> nearest(rows_.rows(), std::numeric_limits<double>::infinity());
    size_t row = random.below(rows_.rows());
    while (true) {
      const auto values = rows_.row(row);
      out_.centroids.insert(out_.centroids.end(), values.begin(), values.end());
      const size_t n = out_.centroids.size() / rows_.cols();
      if (n == n_cluster_) return;
      double sum = 0;
      for (size_t i = 0; i < nearest.size(); ++i) {
        nearest[i] = std::min(nearest[i], squared_distance(rows_.row(i), values));
        sum += nearest[i];
      }
      FATHOM_REQUIRE(sum > 0, "k-means: ", n, " different vectors cannot make ", n_cluster_,
                     " clusters");
      double draw = static_cast<double>(random.next() >> 11) * 0x1p-53 * sum;
      for (size_t i = 0; i < nearest.size(); ++i) {
        if (nearest[i] == 0) continue;
        row = i;
        draw -= nearest[i];
        if (draw < 0) break;
      }
    }
  }

  // Whether a row has changed its cluster.
  bool assign() {
    bool changed = false;
    for (size_t i = 0; i < rows_.rows(); ++i) {
      uint32_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (uint32_t c = 0; c < n_cluster_; ++c) {
        const double d = squared_distance(rows_.row(i), centroid(c));
        if (d >= least) continue;
        least = d;
        best = c;
      }
      changed |= best != out_.cluster[i] || first_;
      out_.cluster[i] = best;
      distance_[i] = least;
    }
    first_ = false;
    return changed;
  }

  void move() {
    std::vector<double> sum(out_.centroids.size());
    std::vector<size_t> count(n_cluster_);
    for (size_t i = 0; i < rows_.rows(); ++i) {
      const size_t c = out_.cluster[i];
      ++count[c];
      for (size_t j = 0; j < rows_.cols(); ++j) sum[c * rows_.cols() + j] += rows_.row(i)[j];
    }
    for (size_t c = 0; c < n_cluster_; ++c) {
      const auto to = centroid(c);
      if (count[c] == 0) {
        const auto far = std::ranges::max_element(distance_);
        std::ranges::copy(rows_.row(static_cast<size_t>(far - distance_.begin())), to.begin());
        *far = 0;  // the next empty cluster takes another row
        continue;
      }
      for (size_t j = 0; j < to.size(); ++j)
        to[j] = static_cast<float>(sum[c * to.size() + j] / static_cast<double>(count[c]));
    }
  }

  Matrix<const float> rows_;
  size_t n_cluster_;
  std::vector<double> distance_;  // (n) squared, of each row from its centroid
  bool first_ = true;
  KMeans out_;
};

}  // namespace

KMeans fit_kmeans(Matrix<const float> rows, const KMeansOptions& options) {
  FATHOM_ASSERT(options.n_cluster >= 1 && options.n_restart >= 1);
  FATHOM_REQUIRE(rows.rows() >= options.n_cluster, "k-means: ", rows.rows(),
                 " vectors cannot make ", options.n_cluster, " clusters");
  for (size_t i = 0; i < rows.rows(); ++i)
    for (float v : rows.row(i))
      FATHOM_REQUIRE(std::isfinite(v), "k-means: vector ", i + 1, " is not finite");
  Random random(options.seed);
  KMeans best;
  best.inertia = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < options.n_restart; ++i) {
    Lloyd start(rows, options, random);
    if (start.has_empty()) continue;
    KMeans found = start.result();
    if (found.inertia < best.inertia) best = std::move(found);
  }
  FATHOM_REQUIRE(!best.cluster.empty(), "k-means: no start made ", options.n_cluster,
                 " clusters of ", rows.rows(), " vectors");
  return best;
}

}  // namespace fathom
