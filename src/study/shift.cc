// SPDX-License-Identifier: Apache-2.0
#include "study/shift.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "eval/bootstrap.h"
#include "study/rows.h"

namespace fathom {
namespace {

// P(D sqrt(n) > x) for large n.
double kolmogorov(double x) {
  if (x < 0.2) return 1;  // the series does not converge; the value is 1 to 12 digits
  double sum = 0, sign = 1;
  for (int k = 1; k <= 100; ++k, sign = -sign) {
    const double term = std::exp(-2.0 * k * k * x * x);
    sum += sign * term;
    if (term < 1e-16) break;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

std::string p_text(double p) { return p < 1e-4 ? "p < 0.0001" : fmt::format("p = {:.2g}", p); }

}  // namespace

KsTest kolmogorov_smirnov(std::vector<double> a, std::vector<double> b) {
  FATHOM_REQUIRE(!a.empty() && !b.empty(), "Kolmogorov-Smirnov: an empty sample");
  std::ranges::sort(a);
  std::ranges::sort(b);
  const double n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
  KsTest test;
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const double x = std::min(a[i], b[j]);
    while (i < a.size() && a[i] <= x) ++i;
    while (j < b.size() && b[j] <= x) ++j;
    test.distance =
        std::max(test.distance, std::abs(static_cast<double>(i) / n - static_cast<double>(j) / m));
  }
  const double root = std::sqrt(n * m / (n + m));
  test.p = kolmogorov((root + 0.12 + 0.11 / root) * test.distance);
  return test;
}

std::vector<double> lengths_of(const SweepTask& t, const SweepSplit& split,
                               std::span<const size_t> rows) {
  const size_t width = t.task.is_pair() ? 2 : 1;
  std::vector<double> lengths;
  for (size_t row : rows) {
    double sum = 0;
    for (size_t s = 0; s < width; ++s) sum += static_cast<double>(split.n_token[row * width + s]);
    lengths.push_back(sum);
  }
  return lengths;
}

std::vector<double> calibration_lengths(const SweepTask& t) {
  return lengths_of(t, t.train, t.rows.calibration);
}

std::vector<double> evaluated_lengths(const SweepTask& t) {
  return lengths_of(t, t.evaluated, every_row(t.evaluated.gold.size()));
}

std::vector<std::vector<float>> confidences_at(const SweepTask& t, const SweepSplit& split,
                                               std::span<const size_t> rows,
                                               const std::vector<size_t>& layers) {
  const bool classes = t.task.n_class() > 1;
  const ExitRule rule = make_exit_rule(
      {.measure = classes ? Measure::kMaxProbability : Measure::kPatience, .layers = layers},
      &t.task, t.fits, t.n_layer());
  const ExitTable table =
      run_exits(rule, {split.cache, rows, split.gold, t.range()}, ExitLoss::kConsistency, t.pool);
  const std::vector<float>& values = classes ? table.confidence : table.answer;
  std::vector<std::vector<float>> out;
  for (size_t e = 0; e < layers.size(); ++e)
    out.emplace_back(&values[table.at(e, 0)], &values[table.at(e, 0)] + rows.size());
  return out;
}

ShiftTest shift_of(const SweepTask& t, std::span<const size_t> kept) {
  std::vector<size_t> rows;
  for (size_t row : kept) rows.push_back(t.rows.calibration[row]);
  if (kept.empty()) rows = t.rows.calibration;
  const auto sure_of = [&](const SweepSplit& split, std::span<const size_t> of) {
    const std::vector<float> values = confidences_at(t, split, of, {t.n_layer()}).front();
    return std::vector<double>(values.begin(), values.end());
  };
  const std::vector<double> here = lengths_of(t, t.train, rows), there = evaluated_lengths(t),
                            sure = sure_of(t.train, rows),
                            sure_there = sure_of(t.evaluated, every_row(there.size()));
  return {.length = kolmogorov_smirnov(here, there),
          .confidence = kolmogorov_smirnov(sure, sure_there),
          .calibration_length = mean_of(here),
          .evaluated_length = mean_of(there),
          .calibration_confidence = mean_of(sure),
          .evaluated_confidence = mean_of(sure_there)};
}

std::string warning_of(const ShiftTest& s, const Task& task) {
  if (!s.warns()) return {};
  return fmt::format(
      "{}: the calibration rows are not like those of {}: {:.1f} tokens on average against {:.1f} "
      "(Kolmogorov-Smirnov {:.2f}, {}), {} {:.2f} against {:.2f} ({:.2f}, {}). Thresholds and "
      "guarantees hold for rows like the calibration rows alone: calibrate on rows like those to "
      "come.",
      task.name, name_of(task.report), s.calibration_length, s.evaluated_length, s.length.distance,
      p_text(s.length.p), task.n_class() > 1 ? "confidence at the last layer" : "answers",
      s.calibration_confidence, s.evaluated_confidence, s.confidence.distance,
      p_text(s.confidence.p));
}

OrderedJson to_json(const ShiftWarning& warning) { return {{"warning", warning.text}}; }

ShiftWarning shift_warning_from_json(const OrderedJson& json, std::string_view where) {
  const auto at = json.find("warning");
  FATHOM_REQUIRE(at != json.end() && at->is_string(), where, ": warning: expected a text");
  return {at->get<std::string>()};
}

MatchedRows match_lengths(std::span<const double> calibration, std::span<const double> to_come,
                          uint64_t seed) {
  constexpr size_t kMostBins = 10, kRowsOfABin = 20;
  FATHOM_REQUIRE(!calibration.empty() && !to_come.empty(), "lengths: no rows to match");
  std::vector<double> sorted(to_come.begin(), to_come.end());
  std::ranges::sort(sorted);
  const size_t n_bin = std::clamp<size_t>(to_come.size() / kRowsOfABin, 1, kMostBins);
  std::vector<double> upper;  // of every bin but the last; equal ones fall together
  for (size_t b = 1; b < n_bin; ++b) {
    const double at =
        quantile_of_sorted(sorted, static_cast<double>(b) / static_cast<double>(n_bin));
    if (upper.empty() || at > upper.back()) upper.push_back(at);
  }
  const auto bin_of = [&](double length) {
    return static_cast<size_t>(std::ranges::lower_bound(upper, length) - upper.begin());
  };
  std::vector<double> here(upper.size() + 1), there(upper.size() + 1), ratio(upper.size() + 1);
  // Beyond the shortest and the longest of the rows to come there is nothing to be like.
  const auto inside = [&](double length) {
    return length >= sorted.front() && length <= sorted.back();
  };
  const double n_inside = static_cast<double>(std::ranges::count_if(calibration, inside));
  for (double length : calibration)
    if (inside(length)) here[bin_of(length)] += 1 / n_inside;
  for (double length : to_come) there[bin_of(length)] += 1 / static_cast<double>(to_come.size());
  MatchedRows matched;
  for (size_t b = 0; b < ratio.size(); ++b) {
    const double from = b == 0 ? sorted.front() : upper[b - 1],
                 to = b < upper.size() ? upper[b] : sorted.back();
    FATHOM_REQUIRE(there[b] <= kLargestRatio * here[b],
                   "the calibration rows cannot be matched: ", "texts of ", from, " to ", to,
                   " tokens are ", 100 * there[b], " % of the rows to come and ", 100 * here[b],
                   " % of the calibration rows; expected a ratio of at most ", kLargestRatio);
    ratio[b] = here[b] > 0 ? there[b] / here[b] : 0;
    matched.largest = std::max(matched.largest, ratio[b]);
  }
  constexpr uint64_t kGrain = uint64_t{1} << 53;
  Random random(seed);
  for (size_t i = 0; i < calibration.size(); ++i) {
    const double stays =
        inside(calibration[i]) ? ratio[bin_of(calibration[i])] / matched.largest : 0;
    if (static_cast<double>(random.below(kGrain)) < stays * static_cast<double>(kGrain))
      matched.rows.push_back(i);
  }
  return matched;
}

}  // namespace fathom
