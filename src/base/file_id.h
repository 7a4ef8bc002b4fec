// SPDX-License-Identifier: Apache-2.0
// FileId: which file or folder it is, whatever name or link leads to it.
#pragma once

#include <sys/stat.h>

#include <compare>

namespace fathom {

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const FileId&) const = default;
};

inline FileId id_of(const struct ::stat& info) { return {info.st_dev, info.st_ino}; }

}  // namespace fathom
