// SPDX-License-Identifier: Apache-2.0
#include "model/compute_choice.h"

#include "base/available_memory.h"
#include "base/error.h"
#include "model/inspect.h"

namespace fathom {
namespace {

// Sums of few terms average no rounding errors away: a small model loses up to 2e-3 in cosine
// (docs/numerics.md), and its products are not where its time goes.
constexpr size_t kSmall = 256;

bool is_small(const ComputeFacts& facts) { return facts.d_model < kSmall && !facts.small_as_asked; }

std::string megabytes(size_t bytes) { return concat(bytes / 1'000'000, " MB"); }

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

ComputeFacts compute_facts(const Backend& backend, const Config& config,
                           const ModelOptions& options) {
  const auto bytes = [&](Compute compute) {
    return packed_weight_bytes(config, compute, lora_compute_for(backend, compute));
  };
  return {.bf16 = backend.supports(Compute::kBF16),
          .int8 = backend.supports(Compute::kInt8),
          .f32_bytes = bytes(Compute::kF32),
          .bf16_bytes = bytes(Compute::kBF16),
          .int8_bytes = bytes(Compute::kInt8),
          .available_bytes = available_memory(),
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

}  // namespace fathom
