// SPDX-License-Identifier: Apache-2.0
// Writes GGUF version 3 files that llama.cpp and Ollama accept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/atomic_file.h"
#include "formats/write_tensor.h"

namespace fathom {

using GgufValue = std::variant<uint8_t, uint16_t, uint32_t, int32_t, uint64_t, float, bool,
                               std::string, std::vector<std::string>, std::vector<int32_t>,
                               std::vector<uint32_t>, std::vector<float>>;

// Keys in the order of the file; general.alignment must not be among them (it is 32).
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

// Shapes are in PyTorch order and written reversed, with at most 4 dimensions. The data of
// quantised tensors is blocks (formats/dequantise.h). The file appears whole or not at all. Throws
// Error naming the path.
void write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
                std::span<const TensorToWrite> tensors);
// The same into a file whose commit() is the caller's.
void write_gguf(AtomicFile& file, const GgufMetadata& metadata,
                std::span<const TensorToWrite> tensors);

}  // namespace fathom
