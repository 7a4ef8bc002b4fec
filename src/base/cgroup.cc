// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup.h"

#include <fstream>
#include <iterator>

#include "base/error.h"

namespace fathom {

std::vector<std::string> words_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istream_iterator<std::string>(in), {}};
}

Cgroups cgroups_of(const std::filesystem::path& root, std::string_view controller) {
  Cgroups all;
  // The path is the host's and may not exist inside a container, whose own group is then what is
  // mounted: hence every prefix.
  const auto add = [](std::vector<std::filesystem::path>& to, const std::filesystem::path& mount,
                      std::filesystem::path group) {
    for (;; group = group.parent_path()) {
      to.push_back(mount / group);
      if (group.empty()) return;
    }
  };
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
      add(all.v2, mount, group);
    } else if (controllers.find(concat(',', controller, ',')) != controllers.npos) {
      add(all.v1, mount / controller, group);
    }
  }
  return all;
}

}  // namespace fathom
