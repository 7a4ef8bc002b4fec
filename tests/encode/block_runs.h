// SPDX-License-Identifier: Apache-2.0
// How often a block ran on a TimedBackend since its last reset: every block calls one recurrence
// once.
#pragma once

#include "kernels/timed_backend.h"

namespace fathom::test {

inline size_t n_block_run(const TimedBackend& backend) {
  size_t n = 0;
  for (Operator op : {Operator::kWkv4, Operator::kWkv6, Operator::kWkv7})
    n += backend.tallies()[static_cast<size_t>(op)].n_call;
  return n;
}

}  // namespace fathom::test
