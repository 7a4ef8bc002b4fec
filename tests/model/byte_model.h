// SPDX-License-Identifier: Apache-2.0
// A small model whose tokens are bytes, so that it needs no vocabulary file.
#pragma once

#include <string>

#include "formats/temp_folder.h"
#include "model/synthetic_layouts.h"
#include "model/synthetic_model.h"

namespace fathom::test {

inline Shape byte_shape(Version version = Version::kV6) {
  return {.version = version, .n_vocab = 256, .n_layer = 3, .d_model = 24, .d_ffn = 61};
}

// A model whose tokens are bytes, as folder/model.safetensors.
inline std::string byte_model(const TempFolder& folder, Version version = Version::kV6) {
  const std::string path = folder.file("model.safetensors");
  write_arrays(path, make_model(byte_shape(version)).arrays);
  return path;
}

}  // namespace fathom::test
