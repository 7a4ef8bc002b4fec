// SPDX-License-Identifier: Apache-2.0
#include "base/available_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cgroup.h"
#include "base/parse_whole.h"

namespace fathom {
namespace {

std::optional<size_t> number_in(const std::filesystem::path& path) {
  const auto words = words_of(path);
  return words.size() == 1 ? parse_whole(words[0]) : std::nullopt;  // none for "max"
}

// The number after `key` in a file of keys and numbers.
std::optional<size_t> number_after(const std::filesystem::path& path, std::string_view key) {
  const auto words = words_of(path);
  const auto at = std::ranges::find(words, key);
  if (at == words.end() || at + 1 == words.end()) return std::nullopt;
  return parse_whole(*(at + 1));
}

// What a group leaves, if it has a limit. The files of v1 and v2 differ in their names alone.
size_t left_in(const std::filesystem::path& folder, const char* limit, const char* usage,
               const std::string& prefix) {
  const auto most = number_in(folder / limit), used = number_in(folder / usage);
  if (!most || !used) return SIZE_MAX;
  const auto stat = folder / "memory.stat";
  const size_t files = number_after(stat, prefix + "inactive_file").value_or(0) +
                       number_after(stat, prefix + "active_file").value_or(0);
  const size_t held = *used - std::min(*used, files);
  return *most - std::min(*most, held);
}

// What ulimit -v and -d leave: words of proc/self/statm are pages, all of the address space first,
// data and stack sixth.
size_t left_by_limits(const std::filesystem::path& root) {
  const auto words = words_of(root / "proc/self/statm");
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  size_t left = SIZE_MAX;
  for (const auto& [resource, word] : {std::pair(RLIMIT_AS, 0u), std::pair(RLIMIT_DATA, 5u)}) {
    struct rlimit limit {};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) continue;
    const auto used = word < words.size() ? parse_whole(words[word]) : std::nullopt;
    if (used)
      left = std::min(left, limit.rlim_cur - std::min<size_t>(limit.rlim_cur, *used * page));
  }
  return left;
}

}  // namespace

size_t available_memory(const std::filesystem::path& root) {
  size_t bytes = SIZE_MAX;
  if (const auto kib = number_after(root / "proc/meminfo", "MemAvailable:");
      kib && *kib < SIZE_MAX / 1024)
    bytes = *kib * 1024;
  const Cgroups groups = cgroups_of(root, "memory");
  for (const auto& folder : groups.v2)
    bytes = std::min(bytes, left_in(folder, "memory.max", "memory.current", ""));
  for (const auto& folder : groups.v1)
    bytes = std::min(bytes,
                     left_in(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"));
  return std::min(bytes, left_by_limits(root));
}

}  // namespace fathom
