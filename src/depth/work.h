// SPDX-License-Identifier: Apache-2.0
// Shared by depth policies: running a decision's tasks on threads, and the cost of post-processing.
// Private to depth/.
#pragma once

#include <cstddef>

#include "base/thread_pool.h"
#include "probe/postprocess.h"

namespace fathom {

// task(0) .. task(n - 1), each once; on the calling thread if there are no others.
template <class Task>
void for_each_task(ThreadPool* threads, size_t n, const Task& task) {
  if (threads && n > 1)
    threads->run(n, task);
  else
    for (size_t i = 0; i < n; ++i) task(i);
}

// FLOPs of Postprocess::apply on a vector of `dim` numbers: an addition and a product are two.
inline double postprocess_flops(const Postprocess& post, size_t dim) {
  if (post.is_identity()) return 0;
  return static_cast<double>(dim) + static_cast<double>(post.scale.size()) +
         4.0 * static_cast<double>(post.removed.size()) +
         2.0 * static_cast<double>(post.matrix.size());
}

}  // namespace fathom
