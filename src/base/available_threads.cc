// SPDX-License-Identifier: Apache-2.0
// How many threads are worth starting: the affinity mask and the quota of the control group, which
// is how containers limit their CPU time.
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "base/cgroup.h"
#include "base/thread_pool.h"

namespace fathom {
namespace {

// Cores by the affinity mask of this thread.
size_t affinity_threads() {
  for (size_t n_cpu = 1024; n_cpu <= size_t{1} << 20; n_cpu *= 2) {
    cpu_set_t* set = CPU_ALLOC(n_cpu);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(n_cpu);
    const int status = sched_getaffinity(0, bytes, set);
    const int count = status == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return static_cast<size_t>(count);
    if (errno != EINVAL) break;  // EINVAL: the kernel knows more cores than fit
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

size_t quota_threads(const std::string& quota, const std::string& period) {
  const double share = std::atof(quota.c_str()) / std::max(1.0, std::atof(period.c_str()));
  // "max" (v2) and -1 (v1) mean no limit. A started core counts: 1.5 cores are worth two threads.
  return share > 0 ? static_cast<size_t>(std::ceil(share)) : SIZE_MAX;
}

}  // namespace

size_t cgroup_threads(const std::filesystem::path& root) {
  size_t threads = SIZE_MAX;
  const Cgroups groups = cgroups_of(root, "cpu");
  for (const auto& folder : groups.v2) {
    const auto words = words_of(folder / "cpu.max");
    if (words.size() == 2) threads = std::min(threads, quota_threads(words[0], words[1]));
  }
  for (const auto& folder : groups.v1) {
    const auto quota = words_of(folder / "cpu.cfs_quota_us");
    const auto period = words_of(folder / "cpu.cfs_period_us");
    if (quota.size() == 1 && period.size() == 1)
      threads = std::min(threads, quota_threads(quota[0], period[0]));
  }
  return threads;
}

size_t available_threads() { return std::min(affinity_threads(), cgroup_threads("/")); }

}  // namespace fathom
