// SPDX-License-Identifier: Apache-2.0
// Writes safetensors files that Hugging Face's readers accept.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "formats/write_tensor.h"

namespace fathom {

// Names must differ; dtypes must not be quantised. The header lists the tensors in the given order;
// the data lies in the order of falling element size, because PyTorch wants every tensor aligned.
// `metadata` becomes __metadata__ (transformers asks for {"format": "pt"}).
// The file appears whole or not at all. Throws Error naming the path.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace fathom
