// SPDX-License-Identifier: Apache-2.0
// ggmf: the .bin files of rwkv.cpp, versions 100 and 101. A 24-byte header, then tensors to the
// end. Source: docs/layouts.md, "rwkv.cpp".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/file_contents.h"

namespace fathom {

inline constexpr uint32_t kGgmfMagic = 0x67676d66;

// Fills tensors (shapes in PyTorch order; values as stored, i.e. as rwkv.cpp's converter left them)
// and the header. Refused by name: types that ggml has removed, and quantised tensors of version
// 100, whose layout is not today's.
FileContents parse_ggmf(std::span<const std::byte> file);

}  // namespace fathom
