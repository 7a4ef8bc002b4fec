// SPDX-License-Identifier: Apache-2.0
// safetensors: u64 length, a JSON header of that many bytes, then the tensors' bytes.
//
//   {"__metadata__": {"format": "pt"}, "w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0,
//   12]}}
//
// Source: docs/layouts.md, "safetensors" (huggingface/safetensors, README "Format").
#pragma once

#include <cstddef>
#include <span>

#include "formats/file_contents.h"

namespace fathom {

// The largest header that is read, as in Hugging Face's own library.
inline constexpr size_t kMaxSafetensorsHeader = 100'000'000;

// Fills tensors (in the order of the header) and attributes. Refused: a header that is not of the
// form above, an unknown dtype, offsets outside the file or not fitting dtype and shape, two
// tensors with one name or that overlap, ...
FileContents parse_safetensors(std::span<const std::byte> file);

}  // namespace fathom
