// SPDX-License-Identifier: Apache-2.0
#include "base/atomic_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace fathom {

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  FATHOM_REQUIRE(!std::filesystem::is_directory(path_), path_.string(),
                 ": cannot write: is a directory");
  // A rename would put a file in the place of /dev/null.
  std::error_code ignored;
  FATHOM_REQUIRE(
      !std::filesystem::exists(path_, ignored) || std::filesystem::is_regular_file(path_, ignored),
      path_.string(), ": cannot write: expected a regular file or none");
  temporary_ = path_;
  temporary_ += concat(".tmp.", ::getpid());
  errno = 0;
  out_.open(temporary_, std::ios::binary | std::ios::trunc);
  FATHOM_REQUIRE(out_.is_open(), path_.string(), ": cannot write: ", std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (temporary_.empty()) return;
  out_.close();
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void AtomicFile::commit() {
  errno = 0;
  out_.close();
  FATHOM_REQUIRE(!out_.fail(), path_.string(), ": cannot write: ", std::strerror(errno));
  std::error_code error;
  std::filesystem::rename(temporary_, path_, error);
  FATHOM_REQUIRE(!error, path_.string(), ": cannot write: ", error.message());
  temporary_.clear();
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.stream().write(text.data(), static_cast<std::streamsize>(text.size()));
  file.commit();
}

}  // namespace fathom
