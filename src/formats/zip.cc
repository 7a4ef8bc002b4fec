// SPDX-License-Identifier: Apache-2.0
#include "formats/zip.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "formats/byte_reader.h"
#include "formats/checks.h"

namespace fathom {
namespace {

constexpr size_t kMaxEntries = size_t{1} << 16;
constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50,
                   kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr size_t kEndBytes = 22, kEnd64LocatorBytes = 20, kMaxCommentBytes = 0xffff;

struct CentralDirectory {
  uint64_t n_entry, n_bytes, offset;
};

// A reader at `offset` of the file.
ByteReader reader_at(std::span<const std::byte> file, uint64_t offset, std::string_view what) {
  FATHOM_REQUIRE(offset <= file.size(), "truncated ZIP archive: the ", what, " should be at byte ",
                 offset, " of ", file.size());
  return ByteReader(file.subspan(offset));
}

// Position of the end record: the last one whose comment reaches exactly to the end of the file.
size_t find_end(std::span<const std::byte> file) {
  for (size_t comment = 0; comment <= kMaxCommentBytes; ++comment) {
    if (kEndBytes + comment > file.size()) break;
    const size_t at = file.size() - kEndBytes - comment;
    ByteReader in(file.subspan(at));
    if (in.read<uint32_t>("end") != kEnd) continue;
    in.take(16, "end record");
    if (in.read<uint16_t>("comment length") == comment) return at;
  }
  throw Error("truncated ZIP archive: its directory, at the end of the file, is missing");
}

// Where the ZIP64 end record stands if there is one before the end record `end`.
CentralDirectory read_end64(std::span<const std::byte> file, size_t end) {
  FATHOM_REQUIRE(end >= kEnd64LocatorBytes, "ZIP archive: the ZIP64 locator is missing");
  ByteReader locator(file.subspan(end - kEnd64LocatorBytes));
  FATHOM_REQUIRE(locator.read<uint32_t>("ZIP64 locator") == kEnd64Locator,
                 "ZIP archive: the ZIP64 locator is missing");
  locator.read<uint32_t>("disk");
  ByteReader in = reader_at(file, locator.read<uint64_t>("ZIP64 offset"), "ZIP64 directory");
  FATHOM_REQUIRE(in.read<uint32_t>("ZIP64 end record") == kEnd64,
                 "ZIP archive: the ZIP64 directory is missing");
  in.take(8 + 2 + 2, "ZIP64 end record");  // size, versions
  const auto disk = in.read<uint32_t>("disk"), first_disk = in.read<uint32_t>("disk");
  const auto on_disk = in.read<uint64_t>("number of entries");
  CentralDirectory directory;
  directory.n_entry = in.read<uint64_t>("number of entries");
  directory.n_bytes = in.read<uint64_t>("directory size");
  directory.offset = in.read<uint64_t>("directory offset");
  FATHOM_REQUIRE(disk == 0 && first_disk == 0 && on_disk == directory.n_entry,
                 "ZIP archive: several disks are not supported");
  return directory;
}

CentralDirectory read_end(std::span<const std::byte> file) {
  const size_t end = find_end(file);
  ByteReader in(file.subspan(end));
  in.take(4, "signature");
  const auto disk = in.read<uint16_t>("disk"), first_disk = in.read<uint16_t>("disk");
  const auto on_disk = in.read<uint16_t>("number of entries");
  const auto n_entry = in.read<uint16_t>("number of entries");
  const auto n_bytes = in.read<uint32_t>("directory size");
  const auto offset = in.read<uint32_t>("directory offset");
  if (n_entry == 0xffff || n_bytes == 0xffffffff || offset == 0xffffffff)
    return read_end64(file, end);
  FATHOM_REQUIRE(disk == 0 && first_disk == 0 && on_disk == n_entry,
                 "ZIP archive: several disks are not supported");
  return {n_entry, n_bytes, offset};
}

// The 64-bit values of an entry whose 32-bit fields are all ones, in this fixed order.
void read_zip64_extra(ByteReader extra, ZipEntry& entry) {
  const bool needs_n_bytes = entry.n_bytes == 0xffffffff,
             needs_stored = entry.stored_bytes == 0xffffffff,
             needs_offset = entry.header_offset == 0xffffffff;
  if (!needs_n_bytes && !needs_stored && !needs_offset) return;
  while (extra.remaining() >= 4) {
    const auto id = extra.read<uint16_t>("extra field");
    ByteReader field(extra.take(extra.read<uint16_t>("extra field"), "extra field"));
    if (id != 1) continue;
    if (needs_n_bytes) entry.n_bytes = field.read<uint64_t>("ZIP64 size");
    if (needs_stored) entry.stored_bytes = field.read<uint64_t>("ZIP64 size");
    if (needs_offset) entry.header_offset = field.read<uint64_t>("ZIP64 offset");
    return;
  }
}

ZipEntry read_entry(ByteReader& in) {
  FATHOM_REQUIRE(in.read<uint32_t>("directory entry") == kCentralHeader,
                 "ZIP archive: the directory is damaged");
  in.take(4, "versions");
  ZipEntry entry;
  entry.flags = in.read<uint16_t>("flags");
  entry.method = in.read<uint16_t>("method");
  in.take(4, "time");
  entry.crc32 = in.read<uint32_t>("checksum");
  entry.stored_bytes = in.read<uint32_t>("size");
  entry.n_bytes = in.read<uint32_t>("size");
  const auto n_name = in.read<uint16_t>("name length");
  const auto n_extra = in.read<uint16_t>("extra length");
  const auto n_comment = in.read<uint16_t>("comment length");
  in.take(2 + 2 + 4, "attributes");
  entry.header_offset = in.read<uint32_t>("offset");
  entry.name = in.text(n_name, "name");
  read_zip64_extra(ByteReader(in.take(n_extra, "extra field")), entry);
  in.take(n_comment, "comment");
  return entry;
}

}  // namespace

ZipDirectory::ZipDirectory(std::span<const std::byte> file) : file_(file) {
  const auto [n_entry, n_bytes, offset] = read_end(file);
  FATHOM_REQUIRE(n_entry <= kMaxEntries, "ZIP archive: ", n_entry, " entries; at most ",
                 kMaxEntries, " are read");
  ByteReader in(reader_at(file, offset, "directory").take(n_bytes, "ZIP directory"));
  for (uint64_t i = 0; i < n_entry; ++i) entries_.push_back(read_entry(in));
  std::sort(entries_.begin(), entries_.end(),
            [](const ZipEntry& a, const ZipEntry& b) { return a.name < b.name; });
  for (size_t i = 1; i < entries_.size(); ++i)
    FATHOM_REQUIRE(entries_[i - 1].name != entries_[i].name, "ZIP archive: two entries are named '",
                   excerpt(entries_[i].name), "'");
}

const ZipEntry* ZipDirectory::find(std::string_view name) const {
  const auto at = std::lower_bound(
      entries_.begin(), entries_.end(), name,
      [](const ZipEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return at != entries_.end() && at->name == name ? &*at : nullptr;
}

std::span<const std::byte> ZipDirectory::bytes(const ZipEntry& entry) const {
  const std::string name = excerpt(entry.name);
  FATHOM_REQUIRE((entry.flags & 1) == 0, name, ": the entry is encrypted");
  FATHOM_REQUIRE(entry.method == 0, name, ": the entry is compressed (method ", entry.method,
                 "); torch.save stores entries as they are, so repack it with `zip -0`");
  FATHOM_REQUIRE(entry.stored_bytes == entry.n_bytes, name, ": two different sizes of one entry");
  return stored(entry);
}

std::span<const std::byte> ZipDirectory::stored(const ZipEntry& entry) const {
  const std::string name = excerpt(entry.name);
  FATHOM_REQUIRE((entry.flags & 1) == 0, name, ": the entry is encrypted");
  ByteReader in = reader_at(file_, entry.header_offset, name);
  FATHOM_REQUIRE(in.read<uint32_t>(name) == kLocalHeader, name, ": the entry's header is damaged");
  in.take(22, name);  // the directory has these, and may be the only one that has them right
  const auto n_name = in.read<uint16_t>(name), n_extra = in.read<uint16_t>(name);
  FATHOM_REQUIRE(in.text(n_name, name) == entry.name, name, ": the entry's header is damaged");
  in.take(n_extra, name);
  return in.take(entry.stored_bytes, name);
}

uint32_t crc32(std::span<const std::byte> bytes) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < table.size(); ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? 0xedb88320u : 0);
      table[i] = c;
    }
    return table;
  }();
  uint32_t crc = 0xffffffffu;
  for (std::byte b : bytes) crc = kTable[(crc ^ static_cast<uint8_t>(b)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

}  // namespace fathom
