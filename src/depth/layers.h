// SPDX-License-Identifier: Apache-2.0
// Layer numbers, the same everywhere in Fathom:
//   0            the output of ln0
//   1 .. L       the residual stream after block i
//   L + 1        "final": ln_out of layer L
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace fathom {

inline size_t final_layer(size_t n_layer) { return n_layer + 1; }
// In reports: the layer at which a depth policy stopped each sequence.
inline size_t policy_layer(size_t n_layer) { return n_layer + 2; }

// A list of layers as a user gave it.
struct LayerList {
  std::vector<size_t> layers;    // each once, in the order of their first mention
  std::vector<size_t> repeated;  // those that occur more than once
};

// "all", or a list such as "1,3,5-8,final". Throws InvalidOption that names `field` and what came.
LayerList parse_layer_list(std::string_view text, size_t n_layer,
                           std::string_view field = "layers");
// Its layers alone.
std::vector<size_t> parse_layers(std::string_view text, size_t n_layer,
                                 std::string_view field = "layers");

// "3", "final" or "policy".
std::string layer_name(size_t layer, size_t n_layer);

// The index of the same vector in Hugging Face's hidden_states, or nullopt where that has none:
// v4 to v6 list the outputs of blocks 0 .. L-1 and then ln_out's; fla's v7 lists the raw embedding,
// the outputs of blocks 0 .. L-2 and ln_out's.
std::optional<size_t> hf_index(size_t layer, size_t n_layer, Version version);

}  // namespace fathom
