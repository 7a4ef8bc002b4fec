// SPDX-License-Identifier: Apache-2.0
// From named tensors to Blocks, after inspect() has checked all names and shapes. Private to
// model/.
#pragma once

#include <string>
#include <vector>

#include "model/model.h"
#include "model/weight_cache.h"

namespace fathom {

class BlockLoader {
 public:
  // rescale_every: see inspect.h.
  BlockLoader(Names& names, const Config& config, WeightCache& cache, ThreadPool& pool,
              Compute compute, Compute lora_compute, size_t rescale_every);

  Block load(size_t block);
  // Its vectors alone, for blocks that will not run.
  Block load_vectors(size_t block);
  LayerNorm layer_norm(const std::string& name);  // "ln0", "ln_out"

 private:
  void load_vec(const std::string& name, Vec& vec, std::optional<size_t> block);
  void load_linear(const std::string& name, Linear& linear, size_t block);
  void load_v5_bonus(Vec& vec, size_t block);
  Block load(size_t block, bool with_matrices);

  Names& names_;
  const Config& config_;
  WeightCache& cache_;
  ThreadPool& pool_;
  Compute compute_, lora_compute_;
  size_t rescale_every_;
};

}  // namespace fathom
