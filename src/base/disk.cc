// SPDX-License-Identifier: Apache-2.0
#include "base/disk.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/error.h"

namespace fathom {
namespace {

std::string size_text(uint64_t n_byte) {
  char text[64];
  const double n = static_cast<double>(n_byte);
  if (n_byte < 1'000'000)
    std::snprintf(text, sizeof(text), "%.0f bytes", n);
  else
    std::snprintf(text, sizeof(text), n < 1e9 ? "%.1f MB" : "%.2f GB", n < 1e9 ? n / 1e6 : n / 1e9);
  return text;
}

// "; the file needs 12.0 MB, 3.4 MB are free there", as far as it is known.
std::string figures(int error, uint64_t n_byte, int descriptor) {
  if (error != ENOSPC && error != EDQUOT && error != EFBIG) return "";
  std::string text;
  if (n_byte > 0) text += "; the file needs " + size_text(n_byte);
  struct statvfs disk {};
  struct rlimit limit {};
  if (error == ENOSPC && ::fstatvfs(descriptor, &disk) == 0)
    text += concat(text.empty() ? "; " : ", ", size_text(uint64_t{disk.f_bavail} * disk.f_frsize),
                   " are free there");
  if (error == EFBIG && ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    text +=
        concat(text.empty() ? "; " : ", ", size_text(limit.rlim_cur), " are allowed (ulimit -f)");
  return text;
}

// What a file system answers that has no such call.
bool is_unsupported(int error) {
  return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENODEV;
}

}  // namespace

void throw_cannot_write(const std::filesystem::path& path, int error, uint64_t n_byte,
                        int descriptor) {
  throw Error(concat(path.string(), ": cannot write: ", std::strerror(error),
                     figures(error, n_byte, descriptor)));
}

void write_at(int descriptor, std::span<const std::byte> bytes, uint64_t offset,
              const std::filesystem::path& path, uint64_t n_byte) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    // Nothing written without an error number: there is no room.
    if (n <= 0) throw_cannot_write(path, n < 0 ? errno : ENOSPC, n_byte, descriptor);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

size_t read_at(int descriptor, std::span<char> out, uint64_t offset,
               const std::filesystem::path& path) {
  size_t n = 0;
  while (n < out.size()) {
    const ssize_t got =
        ::pread(descriptor, out.data() + n, out.size() - n, static_cast<off_t>(offset + n));
    if (got < 0 && errno == EINTR) continue;
    FATHOM_REQUIRE(got >= 0, path.string(), ": cannot read: ", std::strerror(errno));
    if (got == 0) break;
    n += static_cast<size_t>(got);
  }
  return n;
}

void reserve(int descriptor, uint64_t n_byte, const std::filesystem::path& path) {
  // Not posix_fallocate(): where the file system cannot do it, that one writes to every block.
  const auto allocate = [&](uint64_t n) {
    int error = EINTR;
    while (error == EINTR)
      error = ::fallocate(descriptor, 0, 0, static_cast<off_t>(n)) == 0 ? 0 : errno;
    return error;
  };
  if (n_byte == 0) return;
  int error = allocate(1);
  if (is_unsupported(error)) return;
  // Asked first: taking what there is until it runs out would leave others without, for a moment.
  struct statvfs disk {};
  struct ::stat file {};
  const uint64_t n_held = ::fstat(descriptor, &file) == 0 ? uint64_t{512} * file.st_blocks : 0;
  if (error == 0 && ::fstatvfs(descriptor, &disk) == 0 && disk.f_blocks > 0 && n_byte > n_held &&
      (n_byte - n_held) / disk.f_frsize > (::geteuid() == 0 ? disk.f_bfree : disk.f_bavail))
    error = ENOSPC;
  if (error == 0) error = allocate(n_byte);
  if (error != 0) throw_cannot_write(path, error, n_byte, descriptor);
}

void throw_cannot_make(const std::filesystem::path& folder, std::string_view reason) {
  throw Error(concat(folder.string(), ": cannot make this folder: ", reason));
}

void sync_folder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder.empty() ? "." : folder;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;  // a folder that may be written but not read
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  FATHOM_REQUIRE(error == 0 || is_unsupported(error) || error == EROFS, path.string(),
                 ": cannot write: ", std::strerror(error));
}

}  // namespace fathom
