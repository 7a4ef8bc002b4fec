// SPDX-License-Identifier: Apache-2.0
// How many threads are worth starting: the affinity mask and the quota of the control group, which
// is how containers limit their CPU time.
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
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

// The first words of a file; empty if it cannot be read.
std::vector<std::string> words_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::string> words(std::istream_iterator<std::string>(in), {});
  return words;
}

size_t quota_threads(const std::string& quota, const std::string& period) {
  const double share = std::atof(quota.c_str()) / std::max(1.0, std::atof(period.c_str()));
  // "max" (v2) and -1 (v1) mean no limit. A started core counts: 1.5 cores are worth two threads.
  return share > 0 ? static_cast<size_t>(std::ceil(share)) : SIZE_MAX;
}

// The smallest quota of a group and the groups that it is in. The path is the host's and may not
// exist inside a container, whose own group is then what is mounted: hence every prefix is tried.
template <class Quota>
size_t smallest_quota(const std::filesystem::path& mount, std::filesystem::path group,
                      const Quota& quota) {
  size_t smallest = SIZE_MAX;
  for (;; group = group.parent_path()) {
    smallest = std::min(smallest, quota(mount / group));
    if (group.empty()) return smallest;
  }
}

}  // namespace

size_t cgroup_threads(const std::filesystem::path& root) {
  size_t threads = SIZE_MAX;
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {  // hierarchy:controllers:/path
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers =
        concat(',', std::string_view(line).substr(first + 1, second - first - 1), ',');
    const auto group = std::filesystem::path(line.substr(second + 1)).relative_path();
    const auto mount = root / "sys/fs/cgroup";
    if (controllers == ",,") {
      threads = std::min(threads, smallest_quota(mount, group, [](const auto& folder) {
                           const auto words = words_of(folder / "cpu.max");
                           return words.size() == 2 ? quota_threads(words[0], words[1]) : SIZE_MAX;
                         }));
    } else if (controllers.find(",cpu,") != controllers.npos) {
      threads = std::min(threads, smallest_quota(mount / "cpu", group, [](const auto& folder) {
                           const auto quota = words_of(folder / "cpu.cfs_quota_us");
                           const auto period = words_of(folder / "cpu.cfs_period_us");
                           const bool known = quota.size() == 1 && period.size() == 1;
                           return known ? quota_threads(quota[0], period[0]) : SIZE_MAX;
                         }));
    }
  }
  return threads;
}

size_t available_threads() { return std::min(affinity_threads(), cgroup_threads("/")); }

}  // namespace fathom
