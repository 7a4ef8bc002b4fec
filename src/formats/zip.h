// SPDX-License-Identifier: Apache-2.0
// ZipDirectory: the files in a ZIP archive, as views into it: nothing is unpacked here. torch.save
// stores its entries uncompressed. ZIP64 is read; the central directory is authoritative.
// Source: docs/layouts.md, "PyTorch"; PKWARE APPNOTE 6.3, sections 4.3 and 4.5.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fathom {

struct ZipEntry {
  std::string_view name;  // as stored
  uint16_t method = 0;    // 0: stored, 8: deflated
  uint16_t flags = 0;     // bit 0: encrypted
  uint32_t crc32 = 0;
  uint64_t stored_bytes = 0, n_bytes = 0;
  uint64_t header_offset = 0;  // of the local header
};

class ZipDirectory {
 public:
  // Throws Error: not a ZIP, truncated, several disks, two entries of one name, too many entries.
  explicit ZipDirectory(std::span<const std::byte> file);

  std::span<const ZipEntry> entries() const { return entries_; }  // sorted by name
  const ZipEntry* find(std::string_view name) const;              // nullptr if absent

  // The bytes of an entry. Throws Error if it is compressed, encrypted or outside the file.
  std::span<const std::byte> bytes(const ZipEntry& entry) const;
  // Its bytes as they stand in the archive, (stored_bytes), by whatever method. Throws Error if it
  // is encrypted or outside the file.
  std::span<const std::byte> stored(const ZipEntry& entry) const;

 private:
  std::span<const std::byte> file_;
  std::vector<ZipEntry> entries_;
};

// The checksum of ZIP entries.
uint32_t crc32(std::span<const std::byte> bytes);

}  // namespace fathom
