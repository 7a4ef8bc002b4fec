// SPDX-License-Identifier: Apache-2.0
// Any bytes as a text file, compressed by xz, gzip or zstd or not: refused with Error, or a text
// that the file's size bounds and that comes out the same however the bytes come in. Build: see
// FATHOM_FUZZ in CMakeLists.txt.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/text_file.h"
#include "text/unpack.h"

namespace {

// nullopt: refused.
std::optional<std::string> unpacked(std::string_view bytes, size_t n_byte) {
  try {
    fathom::MemoryParts parts(bytes, false, n_byte);
    fathom::Unpacked content(parts, "fuzz");
    std::string text;
    for (std::string_view part = content.next(); !part.empty(); part = content.next()) text += part;
    return text;
  } catch (const fathom::Error&) {
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::optional<std::string> whole = unpacked(bytes, std::max<size_t>(size, 1));
  if (whole) FATHOM_ASSERT(whole->size() <= (size_t{64} << 20) + 100 * size);
  // Beyond 64 MiB the limit looks at how much has come in.
  if (!whole || whole->size() < size_t{64} << 20)
    for (size_t n_byte : {size_t{7}, size_t{300}}) FATHOM_ASSERT(unpacked(bytes, n_byte) == whole);
  try {
    const std::string text = fathom::decode_text(bytes, "fuzz");
    FATHOM_ASSERT(whole && whole->ends_with(text) && whole->size() - text.size() <= 3);
    FATHOM_ASSERT(text.substr(0, 1000).find('\0') == text.npos);
  } catch (const fathom::Error&) {
  }
  return 0;
}
