// SPDX-License-Identifier: Apache-2.0
#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"

namespace fathom {
namespace {

// An empty file of a name that no other writer has: process numbers alone are not unique where
// containers share a folder, nor where threads of one process write the same file.
std::filesystem::path make_beside(const std::filesystem::path& path) {
  for (size_t i = 0;; ++i) {
    std::filesystem::path temporary = path;
    temporary += concat(".tmp.", ::getpid(), ".", i);
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
      ::close(fd);
      return temporary;
    }
    FATHOM_REQUIRE(errno == EEXIST && i < 1000, path.string(),
                   ": cannot write: ", std::strerror(errno));
  }
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  FATHOM_REQUIRE(!std::filesystem::is_directory(path_), path_.string(),
                 ": cannot write: is a directory");
  // A rename would put a file in the place of /dev/null.
  std::error_code ignored;
  FATHOM_REQUIRE(
      !std::filesystem::exists(path_, ignored) || std::filesystem::is_regular_file(path_, ignored),
      path_.string(), ": cannot write: expected a regular file or none");
  temporary_ = make_beside(path_);
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

void AtomicFile::sync() {
  out_.flush();
  errno = 0;
  const int fd = ::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  const bool done = fd >= 0 && ::fdatasync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  FATHOM_REQUIRE(done, path_.string(), ": cannot write: ", std::strerror(error));
}

void AtomicFile::commit() {
  require_unchanged_files();
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
