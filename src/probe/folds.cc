// SPDX-License-Identifier: Apache-2.0
#include "probe/folds.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace fathom {

std::vector<uint32_t> assign_folds(std::span<const uint32_t> strata, size_t n_fold, uint64_t seed) {
  FATHOM_REQUIRE(n_fold >= 2 && strata.size() >= n_fold, "folds: ", strata.size(),
                 " rows cannot be cut into ", n_fold, " folds (at least 2)");
  std::vector<size_t> order(strata.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Random random(seed);
  for (size_t i = 0; i + 1 < order.size(); ++i)
    std::swap(order[i], order[i + random.below(order.size() - i)]);
  std::ranges::stable_sort(order, {}, [&](size_t row) { return strata[row]; });
  std::vector<uint32_t> fold(strata.size());
  for (size_t i = 0; i < order.size(); ++i) fold[order[i]] = static_cast<uint32_t>(i % n_fold);
  return fold;
}

std::vector<size_t> draw_rows(size_t size, size_t n, uint64_t seed) {
  std::vector<size_t> rows(size);
  std::iota(rows.begin(), rows.end(), size_t{0});
  if (n >= size) return rows;
  Random random(seed);
  for (size_t i = 0; i < n; ++i) std::swap(rows[i], rows[i + random.below(size - i)]);
  rows.resize(n);
  std::ranges::sort(rows);
  return rows;
}

}  // namespace fathom
