// SPDX-License-Identifier: Apache-2.0
// TempFolder: a folder of its own for one test, removed afterwards. And the shared data, if
// present.
#pragma once

#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "paths.h"

namespace fathom::test {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "fathom-XXXXXX").string();
    FATHOM_REQUIRE(::mkdtemp(name.data()), "cannot make ", name);
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(std::string_view name) const { return path_ / name; }

  std::filesystem::path write(std::string_view name, std::string_view contents) const {
    std::ofstream out(file(name), std::ios::binary);
    out.write(contents.data(), static_cast<std::streamsize>(contents.size()));
    return file(name);
  }
  size_t n_file() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path_)) ++n;
    return n;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// $FATHOM_SHARED, else ../shared beside the sources. May not exist: then the test is skipped.
inline std::filesystem::path shared_folder() {
  const char* set = std::getenv("FATHOM_SHARED");
  return set ? std::filesystem::path(set)
             : std::filesystem::path(test::kSourceDir).parent_path() / "shared";
}

}  // namespace fathom::test
