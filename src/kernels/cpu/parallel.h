// SPDX-License-Identifier: Apache-2.0
// How the operators of cpu/ops.h cut their work into tasks. Cuts depend on sizes alone, never on
// the pool. Costs are counted in f32 elements read: about half a nanosecond each on one core.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace fathom::cpu {

// Work below this stays on the calling thread, and tasks are not made smaller: some microseconds,
// which is what waking a thread takes.
inline constexpr size_t kTaskCost = 16384;

inline size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }
inline size_t round_up(size_t n, size_t multiple) { return divide_up(n, multiple) * multiple; }

// Calls f(begin, end) for blocks that cover rows [0, rows).
template <class F>
void for_rows(ThreadPool& pool, size_t rows, size_t cost_per_row, const F& f) {
  const size_t block = divide_up(kTaskCost, std::max<size_t>(cost_per_row, 1));
  if (rows <= 2 * block) {
    if (rows > 0) f(size_t{0}, rows);
    return;
  }
  const auto task = [&](size_t i) { f(i * block, std::min(rows, (i + 1) * block)); };
  pool.run(divide_up(rows, block), std::ref(task));
}

// Calls f(sequence, unit) for every sequence of a packed batch and every unit: a head or a block of
// columns, what a recurrence over the tokens can be split by. A task is one unit of one long or of
// several short sequences; long ones start first, so that the last tasks to end are small.
template <class F>
void for_sequences(ThreadPool& pool, std::span<const size_t> offsets, size_t n_unit,
                   size_t cost_per_token, const F& f) {
  struct Group {
    size_t begin, end, n_token;  // sequences [begin, end)
  };
  const size_t n_sequence = offsets.size() - 1;
  const size_t cost = std::max<size_t>(cost_per_token, 1);
  const auto run_group = [&](size_t begin, size_t end, size_t unit) {
    for (size_t s = begin; s < end; ++s) f(s, unit);
  };
  if ((offsets.back() - offsets.front()) * n_unit * cost <= 2 * kTaskCost) {
    for (size_t unit = 0; unit < n_unit; ++unit) run_group(0, n_sequence, unit);
    return;
  }
  std::vector<Group> groups;
  for (size_t s = 0; s < n_sequence; ++s) {
    if (groups.empty() || groups.back().n_token * cost >= kTaskCost) groups.push_back({s, s, 0});
    groups.back().end = s + 1;
    groups.back().n_token += offsets[s + 1] - offsets[s];
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) { return a.n_token > b.n_token; });
  const auto task = [&](size_t i) {
    const Group& group = groups[i / n_unit];
    run_group(group.begin, group.end, i % n_unit);
  };
  pool.run(groups.size() * n_unit, std::ref(task));
}

}  // namespace fathom::cpu
