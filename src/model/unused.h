// SPDX-License-Identifier: Apache-2.0
// Tensors that no reader of a model uses. A few are known to be harmless. All others are an error,
// because the model's vectors would be wrong without them. Private to model/.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/config.h"

namespace fathom {

class Names;

// Whether a name matches one of the patterns of a shell: *, ?, [a-z]; * stands for dots, too.
bool matches_any(const std::string& name, std::span<const std::string> patterns);

// What a tensor that no RWKV has belongs to, in words, by its name; "" if that is not known.
std::string meaning_of_unused(const std::string& name);

// "a, b, c" of a longer list.
std::string first_three(std::span<const std::string> names);

// "" if every unused tensor is harmless; else the error: how many, the first three, what they are.
// harmless: v0, v1, v2 of RWKV-7's block 0, an image encoder's vit.* and proj.*, EmbeddingRWKV's
// task heads, its rerankers' (read by encode/), states of optimisers, tables of positions.
std::string refusal_of_unused(const Names& names, const std::string& prefix);

}  // namespace fathom
