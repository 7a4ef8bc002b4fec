// SPDX-License-Identifier: Apache-2.0
// Integers and 8-bit floats that become weights through separate scales. Private to model/.
//
// An integer tensor without scales is never a weight. Supported are one scale for a tensor, or one
// for each of its rows, as written by
//   bitsandbytes         int8: weight I8 (out, in), SCB (out): w = q SCB / 127
//   compressed-tensors   int-quantized, naive-quantized, float-quantized: weight I8 or F8,
//                        weight_scale (1) or (out, 1): w = q scale
//   fbgemm_fp8, fp8      weight F8_E4M3 or F8_E5M2, weight_scale or weight_scale_inv (which
//                        multiplies, too): w = q scale
//   ComfyUI              weight F8, scale_weight: w = q scale
// Everything else is refused by name: 4-bit types, GPTQ, AWQ, scales of groups or blocks, zero
// points.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "formats/tensor.h"

namespace fathom {

struct WeightScales {
  Tensor scale;                     // one float, or one for each row
  double divisor = 1;               // weight = stored * scale / divisor
  std::string_view scheme;          // "bitsandbytes int8"
  std::vector<const Tensor*> used;  // of the file: the scale and what goes with it
};

// A tensor of the same module: for the weight of "blocks.0.att.key", ".SCB" is its SCB; nullptr if
// there is none.
using Siblings = std::function<const Tensor*(std::string_view ending)>;

// nullopt: a float or one of ggml's blocks, which is the weight as it stands. config: config.json.
// Throws Error naming tensor, type and scheme if this is no weight that can be read.
std::optional<WeightScales> scales_of(const Tensor& stored, const Siblings& siblings,
                                      const Json& config);

// What packs a module's weight under other names ("GPTQ (qweight)"); "" if nothing does.
std::string packed_scheme(const Siblings& siblings, const Json& config);

// Multiplies rows [begin, begin + n_row) of `cols` numbers with their scales.
void multiply_rows(const Tensor& scale, double divisor, size_t begin, size_t n_row, size_t cols,
                   float* values);

}  // namespace fathom
