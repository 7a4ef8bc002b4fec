// SPDX-License-Identifier: Apache-2.0
// TinyDisk: a file system with little room, where this process may mount one.
#pragma once

#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/error.h"

namespace fathom::test {

class TinyDisk {
 public:
  explicit TinyDisk(const std::string& size) {
    std::string name = (std::filesystem::temp_directory_path() / "fathom-disk-XXXXXX").string();
    FATHOM_REQUIRE(::mkdtemp(name.data()), "cannot make ", name);
    path_ = name;
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;
  ~TinyDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
    ::rmdir(path_.c_str());
  }
  bool is_mounted() const { return mounted_; }
  const std::filesystem::path& path() const { return path_; }
  bool is_empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::filesystem::path path_;
  bool mounted_ = false;
};

}  // namespace fathom::test
