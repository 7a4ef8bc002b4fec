// SPDX-License-Identifier: Apache-2.0
// Any bytes as a ZIP archive: refused with Error, or entries that lie in it, whose content has the
// size and checksum that the archive gives. Build: see FATHOM_FUZZ in CMakeLists.txt.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "formats/zip.h"
#include "text/unpack.h"

namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_entry(const fathom::ZipDirectory& archive, const fathom::ZipEntry& entry, size_t size) {
  const std::span<const std::byte> stored = archive.stored(entry);
  FATHOM_ASSERT(stored.size() == entry.stored_bytes && stored.size() <= size);
  if (entry.method == 0 && entry.stored_bytes == entry.n_bytes)
    FATHOM_ASSERT(archive.bytes(entry).data() == stored.data());
  fathom::MemoryParts source(text_of(stored));
  const auto content = fathom::unpack_zip_entry(source, entry.method == 8, entry.n_bytes,
                                                entry.crc32, std::string(entry.name));
  std::string text;
  for (std::string_view part = content->next(); !part.empty(); part = content->next()) text += part;
  FATHOM_ASSERT(text.size() == entry.n_bytes);
  FATHOM_ASSERT(fathom::crc32(std::as_bytes(std::span(text))) == entry.crc32);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const fathom::ZipDirectory archive(std::as_bytes(std::span(data, size)));
    // A directory may name the same bytes again and again.
    for (size_t i = 0; i < archive.entries().size() && i < 4; ++i) {
      const fathom::ZipEntry& entry = archive.entries()[i];
      FATHOM_ASSERT(archive.find(entry.name) == &entry);
      try {
        check_entry(archive, entry, size);
      } catch (const fathom::Error&) {
      }
    }
  } catch (const fathom::Error&) {
  }
  return 0;
}
