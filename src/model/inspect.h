// SPDX-License-Identifier: Apache-2.0
// Inspection: describes a checkpoint without reading any weight.
#pragma once

#include "model/model.h"

namespace fathom {

// Fills `info` and returns the dimensions. Looks up every weight and checks its shape, so that a
// bad file is refused before anything is packed. Throws Error naming the tensor.
Config inspect(Names& names, const Checkpoint& checkpoint, const ModelOptions& options,
               ModelInfo& info);

// Fills in `info`'s adapters, ignored tensors and unused tensors. After
// inspect(), which takes the others.
void account_for_changes(const Names& names, const Checkpoint& checkpoint, const Adapters& adapters,
                         const ModelOptions& options, ModelInfo& info);

// Bytes of the first n_block blocks once packed for this kind of product (vectors f32, low-rank
// matrices as lora_compute). Embedding, head and v7a's tables stay mapped and do not
// count.
size_t packed_weight_bytes(const Config& config, Compute compute, Compute lora_compute,
                           size_t n_block);

// The kind of product for low-rank matrices beside large ones of kind `compute`.
Compute lora_compute_for(const Backend& backend, Compute compute);

// v7a: bytes of one block's table, as stored in the file. 0 for other versions.
size_t deep_table_bytes(Names& names, const Config& config, size_t block);

// Whether for_each_weight's name is a low-rank matrix, or one that is computed like them.
bool is_low_rank(std::string_view name);

// The name under which a file has the bonus of v5 or v6: web-rwkv calls v6's time_first, too.
const char* bonus_name(const Names& names, size_t block);

// How often the residual stream was halved up to a block in GGUF files of v6: output matrices of
// block i are stored divided by 2^(i / every). 0: not at all.
size_t rescale_every(const Checkpoint& checkpoint, Version version);

}  // namespace fathom
