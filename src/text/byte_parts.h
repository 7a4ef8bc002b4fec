// SPDX-License-Identifier: Apache-2.0
// Bytes that come in parts: from a mapped file, from a pipe, out of a decoder. Nobody needs to hold
// all of them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/mapped_file.h"

namespace fathom {

class ByteParts {
 public:
  virtual ~ByteParts() = default;
  // The next part, valid until the next call; empty at the end and ever after. The first part is
  // everything or at least 64 KiB, so that it shows what the bytes are. Throws Error naming the
  // file.
  virtual std::string_view next() = 0;
};

// Parts of bytes that lie in memory or are mapped: of a mapping, pages that were read are given
// back, so that a file of gigabytes does not count as this process's memory.
class MemoryParts final : public ByteParts {
 public:
  // n_byte: of each part; the last may be shorter.
  explicit MemoryParts(std::string_view bytes, bool is_mapped = false,
                       size_t n_byte = size_t{8} << 20)
      : rest_(bytes), n_byte_(n_byte), is_mapped_(is_mapped) {}
  std::string_view next() override;

 private:
  std::string_view rest_, given_;
  size_t n_byte_;
  bool is_mapped_;
};

// A file, FIFO or device; "-" is standard input. A regular file is mapped; anything else is read as
// it comes. One thread at a time.
class InputFile final : public ByteParts {
 public:
  // Throws Error naming the path: missing, a folder, not readable.
  explicit InputFile(const std::filesystem::path& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile() override;

  const std::string& name() const { return name_; }  // for messages: the path or "standard input"
  // All bytes of a regular file, whatever next() has given; nullopt for anything else.
  std::optional<std::string_view> mapped() const;
  std::string_view next() override;

 private:
  std::string name_;
  std::optional<MappedFile> mapped_;
  std::optional<MemoryParts> parts_;  // of the mapping
  int descriptor_ = -1;               // of what is not mapped
  bool owns_descriptor_ = false;
  std::unique_ptr<char[]> buffer_;
};

}  // namespace fathom
