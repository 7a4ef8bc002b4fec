// SPDX-License-Identifier: Apache-2.0
// Weights of the small networks on top of a model: task heads, the reranker's head. Private to
// encode/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "kernels/backend.h"

namespace fathom {

// The tensor of this name. Throws Error naming the file: `missing` if there is none ("no reranker:
// looked for ..."), the expected shape if it has another. A vector may have dimensions of size 1.
const Tensor& find_weight(const Checkpoint& checkpoint, const std::string& name,
                          const std::vector<size_t>& shape, const std::string& missing);

std::vector<float> read_values(const Tensor& tensor);

// A matrix for products in f32, which these networks have one of a text, not of a token.
std::unique_ptr<PackedWeight> pack_f32(const Backend& backend, const Tensor& matrix);

}  // namespace fathom
