// SPDX-License-Identifier: Apache-2.0
#include "probe/fit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "probe/folds.h"
#include "probe/ridge.h"
#include "probe/standardise.h"

namespace fathom {
namespace {

constexpr size_t kCutFolds = 10;

void check_problem(Matrix<const float> x, std::span<const double> gold, size_t n_class,
                   const FitOptions& options) {
  FATHOM_ASSERT(x.rows() == gold.size() && n_class >= 1 && !options.c.empty());
  FATHOM_REQUIRE(x.rows() >= 2 * kCutFolds, "a head needs at least ", 2 * kCutFolds,
                 " rows to fit, got ", x.rows());
  for (size_t i = 0; i < x.rows(); ++i) {
    FATHOM_REQUIRE(std::ranges::all_of(x.row(i), [](float f) { return std::isfinite(f); }),
                   "a head cannot be fitted: the features of row ", i + 1, " are not finite");
    FATHOM_REQUIRE(std::isfinite(gold[i]), "a head cannot be fitted: row ", i + 1,
                   " has no gold value");
  }
  if (n_class == 1) return;
  std::vector<size_t> count(n_class);
  for (double g : gold) {
    FATHOM_ASSERT(g >= 0 && g < static_cast<double>(n_class) && g == std::floor(g));
    ++count[static_cast<size_t>(g)];
  }
  for (size_t k = 0; k < n_class; ++k)
    FATHOM_REQUIRE(count[k] > 0, "a head cannot be fitted: no row of class ", k);
}

// The rows of the cut: what C is fitted on, and the tenth it is judged on.
struct Cut {
  std::vector<size_t> fitted, held_out;
};

Cut cut_of(std::span<const double> gold, size_t n_class, const FitOptions& options) {
  const std::vector<size_t> rows = draw_rows(gold.size(), options.max_cut_rows, options.seed);
  std::vector<uint32_t> strata;
  for (size_t row : rows) strata.push_back(n_class == 1 ? 0 : static_cast<uint32_t>(gold[row]));
  const std::vector<uint32_t> fold = assign_folds(strata, kCutFolds, options.seed);
  Cut cut;
  std::vector<size_t> seen(n_class);
  for (size_t i = 0; i < rows.size(); ++i) {
    // A class with one row has to be learnt rather than judged.
    const bool first_of_class = n_class > 1 && seen[strata[i]]++ == 0;
    (fold[i] == 0 && !first_of_class ? cut.held_out : cut.fitted).push_back(rows[i]);
  }
  FATHOM_ASSERT(!cut.held_out.empty());
  return cut;
}

Matrix<const double> view(const std::vector<double>& values, size_t cols) {
  return {values.data(), values.size() / cols, cols};
}

// Logits of `rows` without a temperature, (n, n_class).
std::vector<double> logits_of(const LinearHead& head, Matrix<const float> x,
                              std::span<const size_t> rows) {
  std::vector<double> logits(rows.size() * head.n_class);
  for (size_t i = 0; i < rows.size(); ++i)
    head.logits(x.row(rows[i]), std::span(logits).subspan(i * head.n_class, head.n_class));
  return logits;
}

double mean_nll(Matrix<const double> logits, std::span<const uint32_t> labels, double temperature) {
  double sum = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::span<const double> z = logits.row(i);
    const double top = *std::ranges::max_element(z);
    double total = 0;
    for (double v : z) total += std::exp((v - top) / temperature);
    sum += std::log(total) - (z[labels[i]] - top) / temperature;
  }
  return sum / static_cast<double>(labels.size());
}

std::vector<uint32_t> labels_of(std::span<const double> gold, std::span<const size_t> rows) {
  std::vector<uint32_t> labels;
  for (size_t row : rows) labels.push_back(static_cast<uint32_t>(gold[row]));
  return labels;
}

double loss_of(const LinearHead& head, Matrix<const float> x, std::span<const double> gold,
               std::span<const size_t> rows) {
  if (!head.is_regression()) {
    const std::vector<double> logits = logits_of(head, x, rows);
    return mean_nll(view(logits, head.n_class), labels_of(gold, rows), 1);
  }
  double sum = 0;
  for (size_t row : rows) {
    const double error = head.value(x.row(row)) - gold[row];
    sum += 0.5 * error * error;
  }
  return sum / static_cast<double>(rows.size());
}

// A head for each C; exact: see SoftmaxOptions.
std::vector<LinearHead> fit_all(FeatureKind features, const Problem& problem,
                                std::span<const double> c, bool exact) {
  std::vector<std::vector<double>> weights;
  if (problem.n_class == 1)
    weights = fit_scores(problem, c);
  else
    for (double value : c)
      weights.push_back(problem.n_class == 2 ? fit_binary(problem, value)
                                             : fit_softmax(problem, value, {.exact = exact}));
  std::vector<LinearHead> heads;
  for (const std::vector<double>& w : weights)
    heads.push_back(unstandardised(problem.standardisation, w, features, problem.n_class));
  return heads;
}

}  // namespace

FittedHead fit_head(FeatureKind features, Matrix<const float> x, std::span<const double> gold,
                    size_t n_class, const FitOptions& options) {
  check_problem(x, gold, n_class, options);
  FittedHead fitted;
  double temperature = 1;
  {
    const Cut cut = cut_of(gold, n_class, options);
    const auto standardisation = Standardisation::of(x, cut.fitted);
    const std::vector<LinearHead> heads =
        fit_all(features, {x, gold, cut.fitted, standardisation, n_class}, options.c, false);
    for (const LinearHead& head : heads)
      fitted.cut_loss.push_back(loss_of(head, x, gold, cut.held_out));
    const auto best = std::ranges::min_element(fitted.cut_loss) - fitted.cut_loss.begin();
    fitted.c = options.c[static_cast<size_t>(best)];
    if (n_class > 1) {
      const std::vector<double> logits =
          logits_of(heads[static_cast<size_t>(best)], x, cut.held_out);
      temperature = fit_temperature(view(logits, n_class), labels_of(gold, cut.held_out));
    }
  }
  std::vector<size_t> all(x.rows());
  std::iota(all.begin(), all.end(), size_t{0});
  const auto standardisation = Standardisation::of(x, all);
  fitted.head =
      fit_all(features, {x, gold, all, standardisation, n_class}, {{fitted.c}}, true).front();
  fitted.head.temperature = static_cast<float>(temperature);
  return fitted;
}

double fit_temperature(Matrix<const double> logits, std::span<const uint32_t> labels) {
  FATHOM_ASSERT(logits.rows() == labels.size());
  if (labels.empty()) return 1;
  // The loss is convex in 1 / T, so it has one valley in log T: golden section.
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  double low = -std::log(20.0), high = std::log(20.0);
  const auto loss = [&](double log_t) { return mean_nll(logits, labels, std::exp(log_t)); };
  double a = high - ratio * (high - low), b = low + ratio * (high - low);
  double loss_a = loss(a), loss_b = loss(b);
  while (high - low > 1e-6) {
    if (loss_a <= loss_b) {
      high = b;
      b = a;
      loss_b = loss_a;
      a = high - ratio * (high - low);
      loss_a = loss(a);
    } else {
      low = a;
      a = b;
      loss_a = loss_b;
      b = low + ratio * (high - low);
      loss_b = loss(b);
    }
  }
  return std::exp((low + high) / 2);
}

Prototypes fit_prototypes(Matrix<const float> x, std::span<const uint32_t> labels, size_t n_class) {
  FATHOM_ASSERT(x.rows() == labels.size());
  const size_t p = x.cols();
  std::vector<double> sum(n_class * p);
  std::vector<size_t> count(n_class), all(x.rows());
  std::iota(all.begin(), all.end(), size_t{0});
  for (size_t i = 0; i < x.rows(); ++i) {
    FATHOM_ASSERT(labels[i] < n_class);
    ++count[labels[i]];
    for (size_t j = 0; j < p; ++j) sum[labels[i] * p + j] += x.row(i)[j];
  }
  Prototypes prototypes;
  for (size_t k = 0; k < n_class; ++k) {
    FATHOM_REQUIRE(count[k] > 0, "prototypes: no row of class ", k);
    for (size_t j = 0; j < p; ++j)
      prototypes.mean.push_back(static_cast<float>(sum[k * p + j] / static_cast<double>(count[k])));
  }
  const auto standardisation = Standardisation::of(x, all);
  prototypes.scale.assign(standardisation.scale.begin(), standardisation.scale.end());
  return prototypes;
}

std::vector<std::vector<double>> fit_scores(const Problem& problem, std::span<const double> c) {
  constexpr size_t kBlock = 256;
  const size_t width = problem.x.cols() + 1;
  // Of centred scores: then the bias is their mean, and regularising does not pull it to 0.
  double mean = 0;
  for (size_t row : problem.rows) mean += problem.gold[row];
  mean /= static_cast<double>(problem.rows.size());
  RidgeSystem system(width, 1);
  std::vector<double> x, y;
  const auto flush = [&] {
    system.add(view(x, width), view(y, 1));
    x.clear();
    y.clear();
  };
  for (size_t row : problem.rows) {
    x.resize(x.size() + width);
    problem.standardisation.apply(problem.x.row(row), std::span(x).last(width));
    y.push_back(problem.gold[row] - mean);
    if (y.size() == kBlock) flush();
  }
  flush();
  std::vector<std::vector<double>> weights;
  for (double value : c) {
    weights.push_back(system.solve(1 / value));
    weights.back().back() += mean;
  }
  return weights;
}

}  // namespace fathom
