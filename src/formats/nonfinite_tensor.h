// SPDX-License-Identifier: Apache-2.0
// Looks for NaN and infinity among the numbers of a checkpoint, which reads all of it: at the speed
// of the disk, or of memory where the file is cached.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "formats/checkpoint.h"

namespace fathom {

struct NonFiniteTensor {
  std::string name;
  size_t n = 0;      // numbers that are not finite, as f32
  size_t first = 0;  // the first of them, in row-major order
  float value = 0;   // it
};

// The float and quantised tensors that hold one, in the order of the file; integers hold none.
std::vector<NonFiniteTensor> nonfinite_tensors(const Checkpoint& checkpoint, ThreadPool& pool);

}  // namespace fathom
