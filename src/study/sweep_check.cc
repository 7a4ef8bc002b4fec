// SPDX-License-Identifier: Apache-2.0
#include "study/sweep_check.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "eval/cost.h"
#include "probe/calibrate.h"

namespace fathom {
namespace {

using Clock = std::chrono::steady_clock;

double mean_loss(Matrix<const float> loss, std::span<const size_t> rows, size_t column) {
  double sum = 0;
  for (size_t row : rows) sum += double{loss.row(row)[column]};
  return sum / static_cast<double>(rows.size());
}

void count(std::optional<size_t> chosen, Matrix<const float> loss, std::span<const size_t> all,
           std::span<const size_t> test, double delta, Violations& out) {
  if (!chosen) return;  // full depth loses nothing
  out.n_population += mean_loss(loss, all, *chosen) > delta;
  out.n_test += mean_loss(loss, test, *chosen) > delta;
}

// The losses of one threshold, mixed so that their risk is just above delta.
struct LossMixture {
  std::vector<float> lossy;  // values above 0 of the examples that lose
  double share = 0;          // of the mixture that loses
};

// Of the threshold whose own risk is nearest to delta.
std::optional<LossMixture> boundary_of(Matrix<const float> loss, double delta) {
  constexpr double kAbove = 1 + 1e-9;
  std::optional<LossMixture> best;
  double nearest = std::numeric_limits<double>::infinity();
  for (size_t j = 0; j < loss.cols(); ++j) {
    std::vector<float> lossy;
    double sum = 0;
    for (size_t i = 0; i < loss.rows(); ++i) {
      const float l = loss.row(i)[j];
      if (l > 0) lossy.push_back(l);
      sum += double{l};
    }
    const double share = kAbove * delta * static_cast<double>(lossy.size()) / sum,
                 away = std::abs(std::log(sum / static_cast<double>(loss.rows()) / delta));
    if (lossy.empty() || share >= 1 || away >= nearest) continue;
    nearest = away;
    best = LossMixture{std::move(lossy), share};
  }
  return best;
}

// Whether the rule takes the threshold, behind one that loses nothing, and its mean loss.
std::pair<bool, double> draw_boundary(const LossMixture& from, size_t n, const GuaranteeOptions& o,
                                      PValue kind, Random& random) {
  constexpr uint64_t kGrain = uint64_t{1} << 53;
  const auto limit = static_cast<uint64_t>(from.share * static_cast<double>(kGrain));
  std::vector<float> loss(2 * n);  // (n, 2)
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    if (random.below(kGrain) >= limit) continue;
    loss[2 * i + 1] = from.lossy[random.below(from.lossy.size())];
    sum += double{loss[2 * i + 1]};
  }
  const auto chosen =
      learn_then_test({loss.data(), n, 2}, o.delta, o.rule_epsilon.value_or(o.epsilon), kind);
  return {chosen == size_t{1}, sum / static_cast<double>(n)};
}

BoundaryCheck check_boundary(Matrix<const float> loss, const GuaranteeOptions& options,
                             PValue kind) {
  constexpr size_t kMostExamples = 2000;
  BoundaryCheck check;
  const std::optional<LossMixture> from = boundary_of(loss, options.delta);
  if (!from) return check;
  check.n_draw = options.n_draw;
  check.n_calibration = std::min(loss.rows() / 2, kMostExamples);
  check.chance = options.epsilon;
  if (kind == PValue::kBinomial) {
    const auto k = allowed_differences(check.n_calibration, options.delta, options.epsilon);
    check.chance = k ? binomial_cdf(*k, check.n_calibration, options.delta) : 0;
  }
  check.allowed = binomial_quantile(check.n_draw, check.chance, 0.99);
  Random random(options.seed);
  for (size_t d = 0; d < check.n_draw; ++d) {
    const auto [taken, mean] = draw_boundary(*from, check.n_calibration, options, kind, random);
    check.guaranteed += taken;
    check.naive += mean <= options.delta;
  }
  return check;
}

// That a split of a right rule is violated: it has to pass the first threshold whose risk is above
// delta.
double chance_of_violation(Matrix<const float> loss, size_t n_half, const GuaranteeOptions& options,
                           PValue kind) {
  if (kind != PValue::kBinomial) return options.epsilon;
  const auto k = allowed_differences(n_half, options.delta, options.epsilon);
  if (!k) return 0;
  for (size_t j = 0; j < loss.cols(); ++j) {
    size_t lossy = 0;
    for (size_t i = 0; i < loss.rows(); ++i) lossy += loss.row(i)[j] > 0;
    if (static_cast<double>(lossy) > options.delta * static_cast<double>(loss.rows()))
      return hypergeometric_cdf(*k, loss.rows(), lossy, n_half);
  }
  return 0;
}

double log_choose(size_t n, size_t k) {
  int sign = 0;  // std::lgamma would write it to a global
  const auto log_factorial = [&](size_t m) {
    return ::lgamma_r(static_cast<double>(m) + 1, &sign);
  };
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

double seconds_of(const AnswerExamples& answer, size_t n_example, size_t at_once) {
  const Clock::time_point begin = Clock::now();
  for (size_t i = 0; i < n_example; i += at_once) answer(i, i + at_once);
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

size_t binomial_quantile(size_t n, double p, double level) {
  size_t k = 0;
  while (k < n && binomial_cdf(k, n, p) < level) ++k;
  return k;
}

double hypergeometric_cdf(size_t k, size_t population, size_t lossy, size_t n) {
  FATHOM_ASSERT(lossy <= population && n <= population);
  const size_t least = n + lossy > population ? n + lossy - population : 0,
               most = std::min(n, lossy);
  if (k >= most) return 1;
  double sum = 0;
  for (size_t x = least; x <= k; ++x)
    sum += std::exp(log_choose(lossy, x) + log_choose(population - lossy, n - x) -
                    log_choose(population, n));
  return std::min(sum, 1.0);
}

std::optional<GuaranteeCheck> check_guarantee(Matrix<const float> loss,
                                              const GuaranteeOptions& options) {
  const size_t n = loss.rows(), n_half = n / 2;
  if (n < options.min_example) return std::nullopt;
  const std::span<const float> values(loss.data(), n * loss.cols());
  const bool binary = std::ranges::all_of(values, [](float l) { return l == 0 || l == 1; });
  const PValue kind = binary ? PValue::kBinomial : PValue::kHoeffdingBentkus;
  GuaranteeCheck check{.n_example = n,
                       .n_split = options.n_split,
                       .delta = options.delta,
                       .epsilon = options.epsilon,
                       .guaranteed = {},
                       .naive = {},
                       .chance = chance_of_violation(loss, n_half, options, kind),
                       .boundary = check_boundary(loss, options, kind)};
  check.allowed = binomial_quantile(options.n_split, check.chance, 0.99);
  Random random(options.seed);
  std::vector<size_t> rows(n);
  std::iota(rows.begin(), rows.end(), size_t{0});
  std::vector<float> half(n_half * loss.cols());
  for (size_t split = 0; split < options.n_split; ++split) {
    for (size_t i = n; i > 1; --i) std::swap(rows[i - 1], rows[random.below(i)]);
    for (size_t i = 0; i < n_half; ++i)
      std::ranges::copy(loss.row(rows[i]),
                        half.begin() + static_cast<std::ptrdiff_t>(i * loss.cols()));
    const Matrix<const float> calibration(half.data(), n_half, loss.cols());
    const auto safe = learn_then_test(calibration, options.delta,
                                      options.rule_epsilon.value_or(options.epsilon), kind);
    check.n_abstained += !safe;
    const std::span<const size_t> test = std::span(rows).subspan(n_half);
    count(safe, loss, rows, test, options.delta, check.guaranteed);
    count(threshold_for_loss(calibration, options.delta), loss, rows, test, options.delta,
          check.naive);
  }
  return check;
}

PolicyTime time_policy(size_t n_example, const AnswerExamples& policy, const AnswerExamples& full,
                       size_t n_round) {
  FATHOM_ASSERT(n_example >= 1 && n_round >= 1);
  policy(0, n_example);  // to warm up
  full(0, n_example);
  std::vector<double> packed, packed_full, single, single_full;
  for (size_t r = 0; r < n_round; ++r) {
    packed_full.push_back(seconds_of(full, n_example, n_example));
    packed.push_back(seconds_of(policy, n_example, n_example));
    single_full.push_back(seconds_of(full, n_example, 1));
    single.push_back(seconds_of(policy, n_example, 1));
  }
  const auto each = [&](const std::vector<double>& seconds) {
    return median(seconds) / static_cast<double>(n_example);
  };
  return {n_example, each(packed), each(packed_full), each(single), each(single_full)};
}

}  // namespace fathom
