// SPDX-License-Identifier: Apache-2.0
// MappedFile: a whole file, mapped read-only. Move-only; the bytes live as long as the object.
//
// A mapping shows what others do to the file: a write changes numbers under way, a cut ends the
// process with SIGBUS. Both are told: require_unchanged_files() before a result is kept, and
// report_lost_pages() for the second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace fathom {

class WatchedFile;  // how the file is found again, by all that look at every mapping

class MappedFile {
 public:
  // Throws Error naming the path: missing, not a regular file, or not readable.
  // An empty file maps to an empty span.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Of the file when it was opened: nanoseconds since 1970.
  int64_t modified_ns() const;
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::unique_ptr<WatchedFile> watched_;  // nullptr if it was moved from
};

// Throws Error naming the first file that is mapped now and that somebody has written to since: its
// size or its time of change differs. A file that was replaced by another of its name is not
// changed: the mapping still holds the old one. Thread-safe.
void require_unchanged_files();

// From now on a page of a mapped file that cannot be read (the file became shorter, or its disk
// fails) ends the process with exit code 1 and one line on standard error that names the file. A
// SIGBUS of another cause is left as it is. before_exit: called in the signal handler, so it must
// be async-signal-safe; nullptr: nothing.
void report_lost_pages(void (*before_exit)());

// Tells the kernel that the whole pages inside `bytes` (a part of a mapping) need not stay
// resident: they are read again from the file if touched. Keeps peak memory low while weights are
// packed.
void drop_pages(std::span<const std::byte> bytes);

}  // namespace fathom
