// SPDX-License-Identifier: Apache-2.0
// The control groups that this process is in: how containers limit its CPU time and memory.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

// Folders of the groups and of the groups that these are in, innermost first; those that do not
// exist are among them.
struct Cgroups {
  std::vector<std::filesystem::path> v1, v2;
};
// controller: "cpu", "memory". root: "/", or a test's copy of proc/self/cgroup and sys/fs/cgroup.
// Throws nothing but std::bad_alloc: what cannot be read is not there.
Cgroups cgroups_of(const std::filesystem::path& root, std::string_view controller);

// The words of a small file; none if it cannot be read.
std::vector<std::string> words_of(const std::filesystem::path& path);

}  // namespace fathom
