// SPDX-License-Identifier: Apache-2.0
// Runs one packed batch through the model. Its sequences may have different plans; each block runs
// on all sequences that are still live. Private to the encoder.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "encode/group_run.h"
#include "model/model.h"

namespace fathom {

// What a run cost, beside the clock.
struct EncodeStats {
  size_t n_token = 0;      // rows of the residual stream computed, BOS and second scans included
  size_t n_batch = 0;      // packed batches, or pieces of a long sequence
  size_t n_block_run = 0;  // blocks of which a sublayer ran, for each batch or piece
  std::vector<BlockRows> rows = {};  // (n_layer) rows that each sublayer really ran on
  size_t n_pooled_row = 0;           // rows that were pooled for depth policies

  EncodeStats& operator+=(const EncodeStats& other);
};

// Fills in the vectors and traces of the sequences, which change their order. No product sees more
// than `budget` tokens. A sequence that is longer, alone and of a plan that is not adaptive, runs
// in pieces from the embedding on, so that its rows need no more room than that; all other batches
// are held whole. nonfinite, if given, is lowered to the first layer at which a row is not finite.
void run_batch(const Model& model, std::span<Sequence> sequences, size_t budget, Workspace& work,
               EncodeStats& stats, std::optional<size_t>* nonfinite);

}  // namespace fathom
