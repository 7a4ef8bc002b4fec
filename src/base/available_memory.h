// SPDX-License-Identifier: Apache-2.0
// How much memory this process may still take before something is swapped or killed.
#pragma once

#include <cstddef>
#include <filesystem>

namespace fathom {

// Bytes: what the kernel calls available, cut by the control groups' memory limits (v1 and v2) less
// what their processes hold, and by the process's own limits (ulimit -v and -d); file pages, which can
// be given back, count as free. SIZE_MAX where nothing is known. root: "/", or a test's copy of proc and sys/fs/cgroup.
size_t available_memory(const std::filesystem::path& root = "/");

}  // namespace fathom
