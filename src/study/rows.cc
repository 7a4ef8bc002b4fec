// SPDX-License-Identifier: Apache-2.0
#include "study/rows.h"

#include <numeric>

namespace fathom {

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> pick(std::span<const double> values, std::span<const size_t> rows) {
  std::vector<double> out;
  out.reserve(rows.size());
  for (size_t row : rows) out.push_back(values[row]);
  return out;
}

std::vector<size_t> every_row(size_t n) {
  std::vector<size_t> rows(n);
  std::iota(rows.begin(), rows.end(), size_t{0});
  return rows;
}

}  // namespace fathom
