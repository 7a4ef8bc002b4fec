// SPDX-License-Identifier: Apache-2.0
#include "study/density_ratio.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "probe/fit.h"
#include "study/rows.h"

namespace fathom {
namespace {

constexpr size_t kLeastRows = 20;

// Features of rows, each followed by its squares around the mean of all.
class ShiftFeatures {
 public:
  ShiftFeatures(const SweepTask& t, const SweepSplit& split, std::span<const size_t> rows)
      : n_(rows.size()), values_(rows.size() * kWidth) {
    const std::vector<double> length = lengths_of(t, split, rows);
    const std::vector<std::vector<float>> sure = confidences_at(t, split, rows, {0, t.n_layer()});
    for (size_t i = 0; i < n_; ++i) {
      float* row = &values_[i * kWidth];
      row[0] = static_cast<float>(std::log1p(length[i]));
      row[1] = sure.front()[i];
      row[2] = sure.back()[i];
    }
  }

  void add_sums(std::span<double> sums) const {
    for (size_t i = 0; i < n_; ++i)
      for (size_t f = 0; f < kRaw; ++f) sums[f] += values_[i * kWidth + f];
  }
  void square_around(std::span<const double> centre) {
    for (size_t i = 0; i < n_; ++i)
      for (size_t f = 0; f < kRaw; ++f) {
        const double x = values_[i * kWidth + f] - centre[f];
        values_[i * kWidth + kRaw + f] = static_cast<float>(x * x);
      }
  }
  size_t n() const { return n_; }
  Matrix<const float> matrix() const { return {values_.data(), n_, kWidth}; }

  static constexpr size_t kRaw = 3, kWidth = 2 * kRaw;

 private:
  size_t n_;
  std::vector<float> values_;  // (n, kWidth)
};

// Odds that a row is one to come, times n / m.
std::vector<double> ratios(const LinearHead& head, Matrix<const float> x, double n_over_m) {
  std::vector<double> out, logits(2);
  for (size_t row = 0; row < x.rows(); ++row) {
    head.logits(x.row(row), logits);
    // fit_head() divides by a temperature of its own cut; the odds are those of the fit itself.
    out.push_back(n_over_m * std::exp((logits[1] - logits[0]) * head.temperature));
  }
  return out;
}

}  // namespace

DensityRatio estimate_ratio(Matrix<const float> here, Matrix<const float> there, uint64_t seed) {
  FATHOM_ASSERT(here.cols() == there.cols());
  FATHOM_REQUIRE(here.rows() >= kLeastRows && there.rows() >= kLeastRows,
                 "density ratio: ", here.rows(), " calibration rows and ", there.rows(),
                 " rows to come; expected at least ", kLeastRows, " of each");
  std::vector<float> x(here.data(), here.data() + here.rows() * here.cols());
  x.insert(x.end(), there.data(), there.data() + there.rows() * there.cols());
  std::vector<double> kind(here.rows() + there.rows());
  std::fill(kind.begin() + static_cast<std::ptrdiff_t>(here.rows()), kind.end(), 1.0);
  const LinearHead head =
      fit_head(FeatureKind::kPooled, {x.data(), kind.size(), here.cols()}, kind, 2, {.seed = seed})
          .head;
  const double n_over_m = static_cast<double>(here.rows()) / static_cast<double>(there.rows());
  DensityRatio ratio{.weight = ratios(head, here, n_over_m)};
  const double mean = mean_of(ratio.weight);
  double sum = 0, square = 0;
  for (double& w : ratio.weight) {
    w = std::min(w / mean, kLargestRatio);
    ratio.largest = std::max(ratio.largest, w);
    sum += w;
    square += w * w;
  }
  ratio.effective = sum * sum / square;
  for (double w : ratios(head, there, n_over_m))
    ratio.beyond += std::max(0.0, 1 - kLargestRatio * mean / w) / static_cast<double>(there.rows());
  FATHOM_REQUIRE(ratio.beyond <= kMostBeyond,
                 "density ratio: it has no bound: calibration rows like ", 100 * ratio.beyond,
                 " % of the rows to come are over ", kLargestRatio,
                 " times as rare among the calibration rows; expected at most ", 100 * kMostBeyond,
                 " %. Calibrate on rows like those to come");
  FATHOM_REQUIRE(ratio.effective >= kLeastEffective, "density ratio: ", ratio.weight.size(),
                 " calibration rows tell as much as ", ratio.effective,
                 " of the rows to come would; expected at least ", kLeastEffective);
  return ratio;
}

MatchedRows reject_rows(const DensityRatio& ratio, uint64_t seed) {
  constexpr uint64_t kGrain = uint64_t{1} << 53;
  MatchedRows matched{
      .rows = {}, .largest = ratio.largest, .effective = ratio.effective, .beyond = ratio.beyond};
  Random random(seed);
  for (size_t i = 0; i < ratio.weight.size(); ++i) {
    const double stays = ratio.weight[i] / ratio.largest;
    if (static_cast<double>(random.below(kGrain)) < stays * static_cast<double>(kGrain))
      matched.rows.push_back(i);
  }
  return matched;
}

MatchedRows match_shift(const SweepTask& t, uint64_t seed) {
  const std::vector<size_t> every = every_row(t.evaluated.gold.size());
  ShiftFeatures here(t, t.train, t.rows.calibration), there(t, t.evaluated, every);
  std::vector<double> centre(ShiftFeatures::kRaw);
  here.add_sums(centre);
  there.add_sums(centre);
  for (double& x : centre) x /= static_cast<double>(here.n() + there.n());
  here.square_around(centre);
  there.square_around(centre);
  return reject_rows(estimate_ratio(here.matrix(), there.matrix(), seed), seed);
}

}  // namespace fathom
