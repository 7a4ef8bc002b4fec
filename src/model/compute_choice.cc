// SPDX-License-Identifier: Apache-2.0
#include "model/compute_choice.h"

#include <algorithm>
#include <utility>

#include "base/available_memory.h"
#include "base/error.h"
#include "model/inspect.h"

namespace fathom {
namespace {

// Sums of few terms average no rounding errors away: a small model loses up to 2e-3 in cosine
// (docs/numerics.md), and its products are not where its time goes.
constexpr size_t kSmall = 256;

std::string megabytes(size_t bytes) { return concat(bytes / 1'000'000, " MB"); }

size_t bytes_in(Compute compute, const ComputeFacts& facts) {
  switch (compute) {
    case Compute::kF32:
      return facts.f32_bytes;
    case Compute::kBF16:
      return facts.bf16_bytes;
    case Compute::kInt8:
      return facts.int8_bytes;
  }
  FATHOM_ASSERT(!"unknown Compute");
}

// Small models run in little.
size_t needed_beside(size_t weights) { return std::min(kMemoryBesideWeights, weights / 2); }

ComputeChoice choose_freely(const ComputeFacts& facts) {
  if (is_small(facts)) return {Compute::kF32, concat("d_model below ", kSmall)};
  const Compute fast = facts.bf16 ? Compute::kBF16 : Compute::kF32;
  const std::string why =
      facts.bf16 ? "this CPU has bf16 products" : "this CPU has no bf16 products";
  const size_t weights = facts.bf16 ? facts.bf16_bytes : facts.f32_bytes;
  if (weights + kMemoryBesideWeights <= facts.available_bytes) return {fast, why};
  const std::string lack =
      concat(megabytes(facts.available_bytes), " of memory available, ",
             megabytes(weights + kMemoryBesideWeights), " needed in ", name_of(fast));
  if (facts.int8) return {Compute::kInt8, lack};
  return {fast, concat(why, "; ", lack, ", and this CPU has no int8 products")};
}

}  // namespace

bool is_small(const ComputeFacts& facts) { return facts.d_model < kSmall && !facts.small_as_asked; }

ComputeFacts compute_facts(const Backend& backend, const Config& config,
                           const ModelOptions& options) {
  const size_t n_block = blocks_to_pack(config, options);
  const auto bytes = [&](Compute compute) {
    return packed_weight_bytes(config, compute, lora_compute_for(backend, compute), n_block);
  };
  return {
      .bf16 = backend.supports(Compute::kBF16),
      .int8 = backend.supports(Compute::kInt8),
      .f32_bytes = bytes(Compute::kF32),
      .bf16_bytes = bytes(Compute::kBF16),
      .int8_bytes = bytes(Compute::kInt8),
      .available_bytes = options.available_bytes ? *options.available_bytes : available_memory(),
      .d_model = config.d_model,
      .small_as_asked = options.small_as_asked};
}

ComputeChoice choose_compute(std::optional<Compute> wanted, const ComputeFacts& facts) {
  if (!wanted) return choose_freely(facts);
  const bool native = *wanted == Compute::kF32 || (*wanted == Compute::kBF16 && facts.bf16) ||
                      (*wanted == Compute::kInt8 && facts.int8);
  if (!native)
    return {Compute::kF32,
            concat("this CPU has no ", name_of(*wanted), " products: computing in f32")};
  if (*wanted != Compute::kF32 && is_small(facts))
    return {Compute::kF32, concat("d_model below ", kSmall, ": ", name_of(*wanted),
                                  " would cost accuracy for little time, computing in f32")};
  return {*wanted, {}};
}

std::string lack_of_memory(Compute compute, const ComputeFacts& facts) {
  const auto needed = [&](Compute kind) {
    const size_t weights = bytes_in(kind, facts);
    return weights + needed_beside(weights);
  };
  if (needed(compute) <= facts.available_bytes) return {};
  std::string text = concat(megabytes(needed(compute)), " of memory needed in ", name_of(compute),
                            ", ", megabytes(facts.available_bytes), " available");
  const bool may_be_smaller = !is_small(facts);
  for (const auto& [kind, has] :
       {std::pair(Compute::kBF16, facts.bf16), std::pair(Compute::kInt8, facts.int8)})
    if (may_be_smaller && has && kind != compute && needed(kind) <= facts.available_bytes)
      text += concat("; in ", name_of(kind), " it would be ", megabytes(needed(kind)));
  return text;
}

size_t blocks_to_pack(const Config& config, const ModelOptions& options) {
  const size_t n = options.n_block ? options.n_block(config) : config.n_layer;
  FATHOM_ASSERT(n <= config.n_layer);
  return n;
}

}  // namespace fathom
