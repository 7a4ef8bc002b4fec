// SPDX-License-Identifier: Apache-2.0
// config.json and *.index.json.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "formats/checkpoint_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    // Whoever shows the config again must not fail on it.
    fathom::parse_json_object(text).dump();
    const fathom::CheckpointIndex index = fathom::parse_index(text);
    for (const auto& [tensor, file] : index.tensors)
      FATHOM_ASSERT(index.files.at(file).find('/') == std::string::npos);
  } catch (const fathom::Error&) {
  }
  return 0;
}
