// SPDX-License-Identifier: Apache-2.0
// MappedFile: a whole file, mapped read-only. Move-only; the bytes live as long as the object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace fathom {

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
  int64_t modified_ns() const { return modified_ns_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ns_ = 0;
};

// Tells the kernel that the whole pages inside `bytes` (a part of a mapping) need not stay
// resident: they are read again from the file if touched. Keeps peak memory low while weights are
// packed.
void drop_pages(std::span<const std::byte> bytes);

}  // namespace fathom
