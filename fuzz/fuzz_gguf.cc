// SPDX-License-Identifier: Apache-2.0
#include <variant>

#include "formats/gguf.h"
#include "fuzz_weights.h"

namespace {

// Also unpacks the metadata's arrays, which parse_gguf leaves in the file.
fathom::FileContents parse(std::span<const std::byte> file) {
  fathom::FileContents contents = fathom::parse_gguf(file);
  for (const auto& [key, value] : contents.metadata) {
    const auto* array = std::get_if<fathom::MetaArray>(&value);
    if (!array) continue;
    try {
      fathom::meta_strings(*array, key);
    } catch (const fathom::Error&) {
    }
    try {
      fathom::meta_integers(*array, key);
    } catch (const fathom::Error&) {
    }
  }
  fathom::gguf_split(contents);
  return contents;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fathom::fuzz::parse_and_read(parse, data, size);
  return 0;
}
