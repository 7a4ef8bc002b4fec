// SPDX-License-Identifier: Apache-2.0
#include "eval/ranked_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "eval/metrics.h"

namespace fathom {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Products of two counts (of two doubled ones in F1) stay below 2^64.
constexpr size_t kMaxPairs = size_t{1} << 31;

bool every_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

// Correlation does not change with the unit, squares of 1e150 do not fit: bring the largest
// magnitude to [0.5, 1). A power of two, so that nothing is rounded.
std::vector<double> scaled(std::span<const double> values) {
  double largest = 0;
  for (double v : values) largest = std::max(largest, std::abs(v));
  int exponent = 0;
  std::frexp(largest, &exponent);
  std::vector<double> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) out[i] = std::ldexp(values[i], -exponent);
  return out;
}

uint64_t times_of(Multiplicities times, size_t pair) { return times.empty() ? 1 : times[pair]; }

double ratio_or_nan(double numerator, double squared_denominator) {
  if (!(squared_denominator > 0)) return kUndefined;
  return std::clamp(numerator / std::sqrt(squared_denominator), -1.0, 1.0);
}

}  // namespace

RankedPairs::Order RankedPairs::order_of(std::span<const double> values) {
  Order order;
  order.pair.resize(values.size());
  std::iota(order.pair.begin(), order.pair.end(), 0u);
  std::stable_sort(order.pair.begin(), order.pair.end(),
                   [&](uint32_t a, uint32_t b) { return values[a] < values[b]; });
  for (size_t p = 0; p < values.size(); ++p)
    if (p == 0 || values[order.pair[p - 1]] != values[order.pair[p]])
      order.begin.push_back(static_cast<uint32_t>(p));
  order.begin.push_back(static_cast<uint32_t>(values.size()));
  return order;
}

RankedPairs::RankedPairs(std::span<const double> score, std::span<const double> target) {
  FATHOM_ASSERT(score.size() == target.size());
  FATHOM_ASSERT(score.size() < kMaxPairs);
  const size_t n_pair = score.size();
  positive_.resize(n_pair);
  is_binary_ = std::all_of(target.begin(), target.end(), [](double t) { return t == 0 || t == 1; });
  is_finite_ = every_finite(score) && every_finite(target);
  if (!is_finite_) return;

  x_ = scaled(score);
  y_ = scaled(target);
  by_score_ = order_of(score);
  by_target_ = order_of(target);
  for (size_t g = 0; g < by_score_.n_group(); ++g)
    group_score_.push_back(score[by_score_.pair[by_score_.begin[g]]]);

  std::vector<uint32_t> group_of_pair(n_pair);
  for (size_t g = 0; g < by_target_.n_group(); ++g)
    for (size_t p = by_target_.begin[g]; p < by_target_.begin[g + 1]; ++p)
      group_of_pair[by_target_.pair[p]] = static_cast<uint32_t>(g);
  target_group_.resize(n_pair);
  for (size_t p = 0; p < n_pair; ++p) {
    target_group_[p] = group_of_pair[by_score_.pair[p]];
    positive_[p] = target[by_score_.pair[p]] == 1;
  }
}

// Whether all pairs of the resample have one value; also true if it has no pair.
bool RankedPairs::is_constant(const Order& order, Multiplicities times) const {
  if (times.empty()) return order.n_group() <= 1;
  const auto drawn = [&](uint32_t pair) { return times[pair] > 0; };
  const auto lowest = std::find_if(order.pair.begin(), order.pair.end(), drawn);
  const auto highest = std::find_if(order.pair.rbegin(), order.pair.rend(), drawn);
  if (lowest == order.pair.end()) return true;
  const size_t low = static_cast<size_t>(lowest - order.pair.begin());
  const size_t high = static_cast<size_t>(order.pair.rend() - highest) - 1;
  // Same group: no group begins in (low, high].
  return std::upper_bound(order.begin.begin(), order.begin.end(), low) ==
         std::upper_bound(order.begin.begin(), order.begin.end(), high);
}

double RankedPairs::pearson(Multiplicities times) const {
  FATHOM_ASSERT(times.empty() || times.size() == n_pair());
  if (!is_finite_ || is_constant(by_score_, times) || is_constant(by_target_, times))
    return kUndefined;
  double n = 0, mean_x = 0, mean_y = 0;
  for (size_t i = 0; i < n_pair(); ++i) {
    const double w = static_cast<double>(times_of(times, i));
    n += w;
    mean_x += w * x_[i];
    mean_y += w * y_[i];
  }
  mean_x /= n;
  mean_y /= n;
  double sum_x = 0, sum_y = 0, sum_xx = 0, sum_yy = 0, sum_xy = 0;
  for (size_t i = 0; i < n_pair(); ++i) {
    const double w = static_cast<double>(times_of(times, i));
    const double dx = x_[i] - mean_x, dy = y_[i] - mean_y;
    sum_x += w * dx;
    sum_y += w * dy;
    sum_xx += w * dx * dx;
    sum_yy += w * dy * dy;
    sum_xy += w * dx * dy;
  }
  // sum_x and sum_y would be 0 if the means were exact: this takes out their rounding.
  const double covariance = sum_xy - sum_x * sum_y / n;
  const double variance_x = sum_xx - sum_x * sum_x / n;
  const double variance_y = sum_yy - sum_y * sum_y / n;
  if (!(variance_x > 0 && variance_y > 0)) return kUndefined;
  return std::clamp(covariance / (std::sqrt(variance_x) * std::sqrt(variance_y)), -1.0, 1.0);
}

// With r = 2 (rank - mean rank) = 2 below + tied - n, an integer: rho = sum(rx ry) /
// sqrt(sum(rx^2) sum(ry^2)).
double RankedPairs::spearman(Multiplicities times) const {
  FATHOM_ASSERT(times.empty() || times.size() == n_pair());
  if (!is_finite_) return kUndefined;
  double n = 0;
  for (size_t i = 0; i < n_pair(); ++i) n += static_cast<double>(times_of(times, i));

  std::vector<double> target_rank(by_target_.n_group());
  double below = 0, sum_yy = 0;
  for (size_t g = 0; g < by_target_.n_group(); ++g) {
    double tied = 0;
    for (size_t p = by_target_.begin[g]; p < by_target_.begin[g + 1]; ++p)
      tied += static_cast<double>(times_of(times, by_target_.pair[p]));
    target_rank[g] = 2 * below + tied - n;
    sum_yy += tied * target_rank[g] * target_rank[g];
    below += tied;
  }

  below = 0;
  double sum_xx = 0, sum_xy = 0;
  for (size_t g = 0; g < by_score_.n_group(); ++g) {
    double tied = 0, sum_y = 0;
    for (size_t p = by_score_.begin[g]; p < by_score_.begin[g + 1]; ++p) {
      const double w = static_cast<double>(times_of(times, by_score_.pair[p]));
      tied += w;
      sum_y += w * target_rank[target_group_[p]];
    }
    const double score_rank = 2 * below + tied - n;
    sum_xx += tied * score_rank * score_rank;
    sum_xy += score_rank * sum_y;
    below += tied;
  }
  return ratio_or_nan(sum_xy, sum_xx * sum_yy);
}

bool RankedPairs::has_binary_metrics(Multiplicities times) const {
  FATHOM_ASSERT(times.empty() || times.size() == n_pair());
  if (!is_finite_) return false;
  FATHOM_REQUIRE(is_binary_, "a binary metric needs targets 0 and 1, got others");
  return true;
}

RankedPairs::Tie RankedPairs::tie(size_t group, Multiplicities times) const {
  uint64_t n = 0, n_positive = 0;
  for (size_t p = by_score_.begin[group]; p < by_score_.begin[group + 1]; ++p) {
    const uint64_t w = times_of(times, by_score_.pair[p]);
    n += w;
    n_positive += w * positive_[p];
  }
  return {.n_positive = n_positive, .n_negative = n - n_positive};
}

double RankedPairs::auc(Multiplicities times) const {
  if (!has_binary_metrics(times)) return kUndefined;
  uint64_t n_positive = 0, n_negative = 0, twice_right = 0;
  for (size_t g = 0; g < by_score_.n_group(); ++g) {
    const Tie t = tie(g, times);
    twice_right += t.n_positive * (2 * n_negative + t.n_negative);
    n_positive += t.n_positive;
    n_negative += t.n_negative;
  }
  if (n_positive == 0 || n_negative == 0) return kUndefined;
  return static_cast<double>(twice_right) /
         (2 * static_cast<double>(n_positive) * static_cast<double>(n_negative));
}

double RankedPairs::average_precision(Multiplicities times) const {
  if (!has_binary_metrics(times)) return kUndefined;
  uint64_t n_positive = 0, n = 0;
  double sum = 0;
  for (size_t g = by_score_.n_group(); g-- > 0;) {
    const Tie t = tie(g, times);
    n_positive += t.n_positive;
    n += t.n_positive + t.n_negative;
    // Groups that are not in the resample add 0, also before the first that is (0 / 1).
    sum += static_cast<double>(t.n_positive * n_positive) /
           static_cast<double>(std::max<uint64_t>(n, 1));
  }
  return n_positive > 0 ? sum / static_cast<double>(n_positive) : 0;
}

BinaryCounts RankedPairs::counts_at(double threshold, Multiplicities times) const {
  const auto first = std::lower_bound(group_score_.begin(), group_score_.end(), threshold);
  const size_t cut = by_score_.begin[static_cast<size_t>(first - group_score_.begin())];
  uint64_t n[2][2] = {};  // [score >= threshold][positive]
  for (size_t p = 0; p < n_pair(); ++p)
    n[p >= cut][positive_[p]] += times_of(times, by_score_.pair[p]);
  return {.tp = static_cast<double>(n[1][1]),
          .tn = static_cast<double>(n[0][0]),
          .fp = static_cast<double>(n[1][0]),
          .fn = static_cast<double>(n[0][1])};
}

double RankedPairs::accuracy_at(double threshold, Multiplicities times) const {
  if (!has_binary_metrics(times) || std::isnan(threshold)) return kUndefined;
  return accuracy(counts_at(threshold, times));
}

double RankedPairs::f1_at(double threshold, Multiplicities times) const {
  if (!has_binary_metrics(times) || std::isnan(threshold)) return kUndefined;
  return f1(counts_at(threshold, times));
}

double RankedPairs::mcc_at(double threshold, Multiplicities times) const {
  if (!has_binary_metrics(times) || std::isnan(threshold)) return kUndefined;
  return mcc(counts_at(threshold, times));
}

// Both objectives are fractions of integers: accuracy (tp + tn) / n, F1 2 tp / (n_predicted + P).
// Compared by cross products they are exact, so that "equally good" means just that.
Threshold RankedPairs::best_threshold(ThresholdObjective objective, Multiplicities times) const {
  if (!has_binary_metrics(times)) return {kUndefined, kUndefined};
  const BinaryCounts none = counts_at(kInfinity, times);
  const uint64_t n_true = static_cast<uint64_t>(none.fn);
  const uint64_t n = n_true + static_cast<uint64_t>(none.tn);
  if (n == 0) return {kUndefined, kUndefined};

  const bool is_f1 = objective == ThresholdObjective::kF1;
  const size_t n_group = by_score_.n_group();
  size_t best_group = n_group;  // the lowest group predicted positive; n_group: none is
  uint64_t best_numerator = is_f1 ? 0 : n - n_true, best_denominator = is_f1 ? n_true : n;
  uint64_t tp = 0, fp = 0;
  for (size_t g = n_group; g-- > 0;) {
    const Tie t = tie(g, times);
    tp += t.n_positive;
    fp += t.n_negative;
    const uint64_t numerator = is_f1 ? 2 * tp : tp + n - n_true - fp;
    const uint64_t denominator = is_f1 ? tp + fp + n_true : n;
    // Strictly better only: of equal cuts the larger threshold stays, and a group that is not in
    // the resample, which changes nothing, is never the one kept.
    if (numerator * best_denominator > best_numerator * denominator) {
      best_group = g;
      best_numerator = numerator;
      best_denominator = denominator;
    }
  }
  const double value = best_numerator == 0 ? 0
                                           : static_cast<double>(best_numerator) /
                                                 static_cast<double>(best_denominator);
  return {.threshold = threshold_below(best_group, times), .value = value};
}

// The cut right below a group: against the next lower one that is in the resample.
double RankedPairs::threshold_below(size_t group, Multiplicities times) const {
  if (group == by_score_.n_group()) return kInfinity;
  for (size_t g = group; g-- > 0;) {
    const Tie t = tie(g, times);
    if (t.n_positive + t.n_negative > 0)
      return threshold_between(group_score_[g], group_score_[group]);
  }
  return -kInfinity;
}

}  // namespace fathom
