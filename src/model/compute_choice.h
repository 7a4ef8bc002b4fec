// SPDX-License-Identifier: Apache-2.0
// Chooses the data type of a model's matrix products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "kernels/backend.h"
#include "model/config.h"
#include "model/model.h"

namespace fathom {

// What the choice depends on.
struct ComputeFacts {
  bool bf16 = false, int8 = false;  // the CPU multiplies these natively (Backend::supports)
  // packed_weight_bytes() of the blocks that will run.
  size_t f32_bytes = 0, bf16_bytes = 0, int8_bytes = 0;
  size_t available_bytes = SIZE_MAX;  // available_memory()
  size_t d_model = 0;
  bool small_as_asked = false;  // ModelOptions'
};

ComputeFacts compute_facts(const Backend& backend, const Config& config,
                           const ModelOptions& options);

struct ComputeChoice {
  Compute compute = Compute::kF32;
  std::string why;  // empty if `compute` is the requested type
};

// Memory beside the weights that a run may take: activations, mapped pages, the program.
inline constexpr size_t kMemoryBesideWeights = 300'000'000;

// Models that run in f32 for every requested type, unless forced: they would gain little.
bool is_small(const ComputeFacts& facts);

// wanted: a type; falls back to f32 where the CPU does not support it or the model is small.
// nullopt: bf16 where the CPU supports it and the model is not small, else f32; int8 where the CPU
// supports it and the weights would not fit into memory otherwise.
ComputeChoice choose_compute(std::optional<Compute> wanted, const ComputeFacts& facts);

// "" if the weights in this kind of product, and what goes beside them, fit what is available; else
// both numbers, and which other kind would fit.
std::string lack_of_memory(Compute compute, const ComputeFacts& facts);

// The blocks that options.n_block asks for.
size_t blocks_to_pack(const Config& config, const ModelOptions& options);

}  // namespace fathom
