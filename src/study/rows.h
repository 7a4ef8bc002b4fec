// SPDX-License-Identifier: Apache-2.0
// Helpers for rows of a split: select, take all, average.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace fathom {

// The mean, summed from the first value on; NaN if there is none.
double mean_of(std::span<const double> values);

// values[rows[0]], values[rows[1]], ... (n_row). Every row must be below values.size().
std::vector<double> pick(std::span<const double> values, std::span<const size_t> rows);

// 0, 1, ... n - 1.
std::vector<size_t> every_row(size_t n);

}  // namespace fathom
