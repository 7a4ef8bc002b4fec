// SPDX-License-Identifier: Apache-2.0
#include "study/sweep_check.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "eval/cost.h"
#include "probe/calibrate.h"

namespace fathom {
namespace {

using Clock = std::chrono::steady_clock;

double mean_of(Matrix<const float> loss, std::span<const size_t> rows, size_t column) {
  double sum = 0;
  for (size_t row : rows) sum += double{loss.row(row)[column]};
  return sum / static_cast<double>(rows.size());
}

void count(std::optional<size_t> chosen, Matrix<const float> loss, std::span<const size_t> all,
           std::span<const size_t> test, double delta, Violations& out) {
  if (!chosen) return;  // full depth loses nothing
  out.n_population += mean_of(loss, all, *chosen) > delta;
  out.n_test += mean_of(loss, test, *chosen) > delta;
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

std::optional<GuaranteeCheck> check_guarantee(Matrix<const float> loss,
                                              const GuaranteeOptions& options) {
  const size_t n = loss.rows(), n_half = n / 2;
  if (n < options.min_example) return std::nullopt;
  const std::span<const float> values(loss.data(), n * loss.cols());
  const bool binary = std::ranges::all_of(values, [](float l) { return l == 0 || l == 1; });
  GuaranteeCheck check{.n_example = n,
                       .n_split = options.n_split,
                       .delta = options.delta,
                       .epsilon = options.epsilon,
                       .guaranteed = {},
                       .naive = {},
                       .n_abstained = 0,
                       .allowed = binomial_quantile(options.n_split, options.epsilon, 0.99)};
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
    const auto safe = learn_then_test(calibration, options.delta, options.epsilon,
                                      binary ? PValue::kBinomial : PValue::kHoeffdingBentkus);
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
