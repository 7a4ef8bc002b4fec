// SPDX-License-Identifier: Apache-2.0
// Finds vectors with NaN or infinity, which come from such weights or from an overflow in the
// model. The check costs one pass over pooled vectors. To find the block, it runs the one text
// again.
//
// All functions may be called from many threads, each with its own Workspace.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "encode/encoder.h"

namespace fathom {

bool all_finite(std::span<const float> values);
size_t n_nonfinite(std::span<const float> values);

struct NonFiniteAt {
  size_t text = 0, vector = 0;  // vector: which of the encoder's, as in EncodeOptions::layers
  size_t n = 0;                 // numbers of it that are not finite
};

// The first text with such a vector and the first of its vectors. vectors: (n_vector, n_text, dim),
// as Encoder::encode() gives them.
std::optional<NonFiniteAt> find_nonfinite(std::span<const float> vectors, size_t n_vector,
                                          size_t n_text);

// For a message behind the name of the text: "the vector of layer 4 is not finite (64 of 64
// numbers); block 2 is the first whose output is not". texts: those that were encoded with it.
std::string explain_nonfinite(const Encoder& encoder, std::span<const std::vector<Token>> texts,
                              const NonFiniteAt& at, Workspace& work);
// "block 2 is the first whose output is not" by the layer that first_nonfinite_layer() gives;
// otherwise: what is to blame where it gives none.
std::string blame_nonfinite(std::optional<size_t> layer, std::string_view otherwise);

}  // namespace fathom
