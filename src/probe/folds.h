// SPDX-License-Identifier: Apache-2.0
// Cuts of a data set that a seed decides, the same on every platform.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fathom {

// The fold, 0 .. n_fold - 1, of every row: rows are shuffled by Random(seed), brought into the order
// of their strata (keeping the shuffled order within one) and dealt out in turn. Fold sizes differ
// by at most 1, and so do the counts of every stratum. strata: (n), any small numbers: class labels,
// or all 0. Throws Error if there are fewer rows than folds or n_fold < 2.
std::vector<uint32_t> assign_folds(std::span<const uint32_t> strata, size_t n_fold, uint64_t seed);

// At most n of the rows 0 .. size - 1, drawn without replacement, ascending; all if n >= size.
std::vector<size_t> draw_rows(size_t size, size_t n, uint64_t seed);

}  // namespace fathom
