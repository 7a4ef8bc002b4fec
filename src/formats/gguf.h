// SPDX-License-Identifier: Apache-2.0
// GGUF versions 2 and 3: llama.cpp's format. Metadata, then one record per tensor, then the data.
// Source: docs/layouts.md, "GGUF" (ggml's gguf.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "formats/file_contents.h"

namespace fathom {

// GGUF value types, as stored in MetaArray::type and in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// Fills tensors (shapes in PyTorch order, i.e. reversed) and metadata. Refused: version 1,
// big-endian files, ggml types that are not read (named with the tensor), offsets outside the file
// or not a multiple of the alignment, tensors that overlap or have one name, ...
FileContents parse_gguf(std::span<const std::byte> file);

// The number of a type in GGUF. kBool and kU8 have none (a bug).
uint32_t ggml_type(StoredType dtype);

// The part of a split file that this is, from its metadata; {0, 1} if it is not split. Error if the
// metadata says something impossible.
struct GgufSplit {
  size_t number = 0, count = 1;
};
GgufSplit gguf_split(const FileContents& contents);

}  // namespace fathom
