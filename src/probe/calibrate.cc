// SPDX-License-Identifier: Apache-2.0
#include "probe/calibrate.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace fathom {
namespace {

double log_factorial(size_t n) {
  int sign = 0;  // std::lgamma would write it to a global
  return ::lgamma_r(static_cast<double>(n) + 1, &sign);
}

double binomial_term(size_t k, size_t n, double p) {
  const double dk = static_cast<double>(k), rest = static_cast<double>(n - k);
  return std::exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) + dk * std::log(p) +
                  rest * std::log1p(-p));
}

// KL(a || b) of two Bernoulli distributions, 0 <= a <= b < 1, b > 0.
double bernoulli_kl(double a, double b) {
  const double first = a > 0 ? a * std::log(a / b) : 0;
  return first + (1 - a) * (std::log1p(-a) - std::log1p(-b));
}

void check_losses(Matrix<const float> loss) {
  FATHOM_REQUIRE(loss.rows() > 0 && loss.cols() > 0, "calibration: no examples or no thresholds");
  for (size_t i = 0; i < loss.rows(); ++i)
    for (float l : loss.row(i))
      FATHOM_REQUIRE(l >= 0 && l <= 1, "calibration: example ", i + 1,
                     ": expected losses from 0 to 1, got ", l);
}

// The last of the leading columns that `accepts` takes.
template <class Accepts>
std::optional<size_t> last_leading(size_t n, const Accepts& accepts) {
  size_t j = 0;
  while (j < n && accepts(j)) ++j;
  if (j == 0) return std::nullopt;
  return j - 1;
}

}  // namespace

double binomial_cdf(size_t k, size_t n, double p) {
  FATHOM_ASSERT(p >= 0 && p <= 1);
  if (k >= n || p == 0) return 1;
  if (p == 1) return 0;
  const double odds = p / (1 - p);
  // Summed away from the mode, where terms fall faster than geometrically: one tail or the other.
  const bool lower = static_cast<double>(k) < static_cast<double>(n) * p;
  double sum = 0, term = binomial_term(lower ? k : k + 1, n, p);
  if (lower) {
    for (size_t i = k; term > 1e-18 * sum; --i) {
      sum += term;
      if (i == 0) break;
      term *= static_cast<double>(i) / (static_cast<double>(n - i + 1) * odds);
    }
    return std::min(sum, 1.0);
  }
  for (size_t i = k + 1; term > 1e-18 * sum; ++i) {
    sum += term;
    if (i == n) break;
    term *= static_cast<double>(n - i) * odds / static_cast<double>(i + 1);
  }
  return std::max(1 - sum, 0.0);
}

double p_value(PValue kind, double sum, size_t n, double delta) {
  FATHOM_REQUIRE(delta > 0 && delta < 1, "calibration: expected delta between 0 and 1, got ",
                 delta);
  FATHOM_ASSERT(n > 0 && sum >= 0);
  if (kind == PValue::kBinomial) return binomial_cdf(static_cast<size_t>(sum), n, delta);
  const double dn = static_cast<double>(n), mean = sum / dn;
  const double hoeffding = std::exp(-dn * bernoulli_kl(std::min(mean, delta), delta));
  // A sum that rounding lifted above a whole number is that number.
  const auto ceiling = static_cast<size_t>(std::ceil(sum - 1e-9 * dn));
  return std::min({hoeffding, std::exp(1.0) * binomial_cdf(ceiling, n, delta), 1.0});
}

std::optional<size_t> allowed_differences(size_t n, double delta, double epsilon) {
  if (n == 0) return std::nullopt;
  return last_leading(n + 1, [&](size_t k) {
    return p_value(PValue::kBinomial, static_cast<double>(k), n, delta) <= epsilon;
  });
}

double smallest_certified(size_t n, double epsilon) {
  FATHOM_ASSERT(epsilon > 0 && epsilon < 1);
  return n == 0 ? 1 : -std::expm1(std::log(epsilon) / static_cast<double>(n));
}

size_t rows_needed(double delta, double epsilon) {
  FATHOM_ASSERT(delta > 0 && delta < 1 && epsilon > 0 && epsilon < 1);
  auto n = static_cast<size_t>(std::ceil(std::log(epsilon) / std::log1p(-delta)));
  // What the test itself says decides where the quotient is rounded.
  const auto enough = [&](size_t rows) {
    return rows > 0 && p_value(PValue::kBinomial, 0, rows, delta) <= epsilon;
  };
  while (!enough(n)) ++n;
  while (enough(n - 1)) --n;
  return n;
}

double upper_bound(PValue kind, double sum, size_t n, double epsilon) {
  FATHOM_ASSERT(epsilon > 0 && epsilon < 1);
  if (n == 0) return 1;
  double low = 0, high = 1;  // p-values fall as delta rises
  while (high - low > 1e-9) {
    const double middle = (low + high) / 2;
    (p_value(kind, sum, n, middle) <= epsilon ? high : low) = middle;
  }
  return high;
}

std::optional<size_t> learn_then_test(Matrix<const float> loss, double delta, double epsilon,
                                      PValue kind) {
  check_losses(loss);
  FATHOM_REQUIRE(epsilon > 0 && epsilon < 1, "calibration: expected epsilon between 0 and 1, got ",
                 epsilon);
  if (kind == PValue::kBinomial)
    for (size_t i = 0; i < loss.rows(); ++i)
      for (float l : loss.row(i))
        FATHOM_REQUIRE(l == 0 || l == 1, "calibration: the exact test wants losses 0 or 1, got ",
                       l);
  const std::vector<double> mean = column_means(loss);
  const double n = static_cast<double>(loss.rows());
  return last_leading(loss.cols(), [&](size_t j) {
    const double sum = kind == PValue::kBinomial ? std::round(mean[j] * n) : mean[j] * n;
    return p_value(kind, sum, loss.rows(), delta) <= epsilon;
  });
}

std::optional<size_t> conformal_risk_control(Matrix<const float> loss, double delta) {
  check_losses(loss);
  std::vector<double> sum(loss.cols());
  for (size_t i = 0; i < loss.rows(); ++i) {
    float largest = 0;
    for (size_t j = 0; j < loss.cols(); ++j) {
      largest = std::max(largest, loss.row(i)[j]);
      sum[j] += largest;
    }
  }
  const double n = static_cast<double>(loss.rows());
  return last_leading(loss.cols(), [&](size_t j) { return (sum[j] + 1) / (n + 1) <= delta; });
}

std::optional<size_t> threshold_for_loss(Matrix<const float> loss, double target) {
  check_losses(loss);
  const std::vector<double> mean = column_means(loss);
  return last_leading(loss.cols(), [&](size_t j) { return mean[j] <= target; });
}

std::optional<size_t> threshold_for_cost(Matrix<const float> cost, double target) {
  const std::vector<double> mean = column_means(cost);
  for (size_t j = 0; j < mean.size(); ++j)
    if (mean[j] <= target) return j;
  return std::nullopt;
}

std::vector<double> column_means(Matrix<const float> values) {
  FATHOM_REQUIRE(values.rows() > 0, "calibration: no examples");
  std::vector<double> mean(values.cols());
  for (size_t i = 0; i < values.rows(); ++i)
    for (size_t j = 0; j < values.cols(); ++j) mean[j] += values.row(i)[j];
  for (double& m : mean) m /= static_cast<double>(values.rows());
  return mean;
}

}  // namespace fathom
