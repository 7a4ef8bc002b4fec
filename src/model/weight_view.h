// SPDX-License-Identifier: Apache-2.0
// Views that turn stored tensors into canonical weights without a copy. Private to model/.
#pragma once

#include <string>
#include <vector>

#include "formats/tensor.h"
#include "model/names_table.h"

namespace fathom {

inline constexpr size_t kLoraGroups = 5;  // of v6's token shift: w, k, v, r, g

struct ViewOptions {
  size_t n_fused = kLoraGroups;  // vectors in a fused tensor
  bool loras_out_in = false;     // LoRA matrices are stored (out, in) instead of (in, out)
};

// 2-D views whose rows joined are the weight that `how` spells. Throws Error naming the tensor if
// its shape, or the way it is quantised, does not allow that.
std::vector<Tensor> take_view(const Tensor& stored, const Spelling& how,
                              const ViewOptions& options);

// A row of n zeros, which are one number in memory.
Tensor zero_row(std::string name, size_t n);

// The scales of those rows of a stored matrix of bytes that a view shows: one scale a row. Throws
// Error if its rows were not left whole.
Tensor scales_of_view(const Tensor& stored, const Tensor& part, View view, const Tensor& scales);

}  // namespace fathom
