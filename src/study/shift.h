// SPDX-License-Identifier: Apache-2.0
// Tests whether calibration rows are like the rows to come. A guarantee holds for rows drawn like
// the calibration rows. If lengths or confidences differ, the rows are not exchangeable and the
// guarantee does not apply (docs/methods.md, "Thresholds of early exit").
//
// Pure functions; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "study/sweep.h"

namespace fathom {

// Two samples of Kolmogorov and Smirnov: the largest distance of their distribution functions, and
// the chance of one as large (asymptotic, with Stephens' correction) if both are drawn alike. Ties
// make p too large, never too small. Throws Error if one is empty.
struct KsTest {
  double distance = 0, p = 1;
};
KsTest kolmogorov_smirnov(std::vector<double> a, std::vector<double> b);

struct ShiftTest {
  KsTest length;      // tokens of an example, both sentences of a pair together
  KsTest confidence;  // largest probability of the head at layer L; of scores, its answer
  double calibration_length = 0, evaluated_length = 0;          // means
  double calibration_confidence = 0, evaluated_confidence = 0;  // means

  // Of both tests together: rows that are alike are warned of in one of a hundred tasks.
  static constexpr double kLevel = 0.01;
  bool warns() const { return 2 * std::min(length.p, confidence.p) < kLevel; }
};
// kept: which of the calibration rows; none: all.
ShiftTest shift_of(const SweepTask& task, std::span<const size_t> kept = {});
// What to tell of it, "" where there is nothing to warn of: "trec: the calibration rows are ...".
std::string warning_of(const ShiftTest& shift, const Task& task);
// The same as a part that a sweep keeps.
struct ShiftWarning {
  std::string text;
};
OrderedJson to_json(const ShiftWarning& warning);
ShiftWarning shift_warning_from_json(const OrderedJson& json, std::string_view where);

// Calibration rows drawn again so that their lengths are distributed as those of the rows to come:
// row i stays with chance w_i / max w, w the ratio of the densities of its length among the rows to
// come and among the calibration rows (Park et al., "PAC prediction sets under covariate shift",
// arXiv 2106.09848). What stays is a sample of the rows to come as far as they differ in length
// alone; the ratio is estimated in bins, so the guarantee holds up to that estimate.
struct MatchedRows {
  std::vector<size_t> rows;  // ascending, of 0 .. n - 1
  double largest = 0;        // w
  double effective = 0;      // (sum w)^2 / sum w^2 of all rows; match_shift() alone
  double beyond = 0;         // to be added to a bound: density_ratio.h
};
inline constexpr double kLargestRatio = 20;
// Throws Error naming which lengths: rows to come of a length that the calibration rows lack, or
// a ratio above kLargestRatio.
MatchedRows match_lengths(std::span<const double> calibration, std::span<const double> to_come,
                          uint64_t seed);

// (n) tokens of these examples, both sentences of a pair together.
std::vector<double> lengths_of(const SweepTask& task, const SweepSplit& split,
                               std::span<const size_t> rows);
// (n_layer, n) how sure the heads of these layers, rising and L the last, are; of scores, what they
// answer.
std::vector<std::vector<float>> confidences_at(const SweepTask& task, const SweepSplit& split,
                                               std::span<const size_t> rows,
                                               const std::vector<size_t>& layers);

// (n) tokens of examples: of the calibration rows, of the evaluated ones.
std::vector<double> calibration_lengths(const SweepTask& task);
std::vector<double> evaluated_lengths(const SweepTask& task);

}  // namespace fathom
