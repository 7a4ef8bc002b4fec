// SPDX-License-Identifier: Apache-2.0
// Quantised blocks, as ggml stores them: 32 or 256 consecutive elements of a row with their scales.
// Layouts and value formulas: docs/layouts.md, "Blocks of quantised numbers". Pure functions.
#pragma once

#include <cstddef>
#include <span>

#include "base/dtype.h"

namespace fathom {

// Whole blocks to f32, bit for bit what ggml computes. out.size() is a multiple of the block's
// elements and `blocks` holds that many blocks; `dtype` is quantised.
void dequantise(StoredType dtype, const std::byte* blocks, std::span<float> out);

// f32 to Q8_0: per 32 elements d = max|x| / 127, kept as f16, and q = round(x / d) with the
// unrounded d, halves away from zero. x.size() is a multiple of 32; blocks.size() is x.size() / 32
// * 34. Throws Error at a value that is not finite or above 127 * 65504.
void quantise_q8_0(std::span<const float> x, std::span<std::byte> blocks);

}  // namespace fathom
