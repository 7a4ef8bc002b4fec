// SPDX-License-Identifier: Apache-2.0
// How a result was made, as JSON: for reports, policy files and the files beside vectors.
#pragma once

#include <span>
#include <vector>

#include "base/json.h"
#include "depth/policy_file.h"
#include "encode/encoder.h"
#include "model/model.h"

namespace fathom {

// "path", "version", "layout", dimensions, dtypes, epsilons, "backend" and describe_changes().
OrderedJson describe(const Model& model);
// Entries of describe(): adapters that were merged, tensors that were ignored, files beside the
// weights.
void describe_changes(const ModelInfo& info, OrderedJson& j);
// "layers", "pooling", "norm", "normalize", "bos", "scan", and what else was chosen.
OrderedJson describe(const EncodeOptions& options, const Config& config);
// The policy, and how its file was fitted.
OrderedJson describe(const DepthChoice& choice);

// Where texts stopped, counted as they come.
struct ExitCounts {
  std::vector<size_t> by_layer = {};  // texts that stopped at each, as far as there are any
  size_t n_text = 0;
  size_t n_sublayer = 0;  // sublayers that ran

  void add(std::span<const DepthTrace> trace);
};

// n_text, mean_exit_layer, texts_by_exit_layer, share_of_halves: those that ran, of all that a
// model of n_layer blocks has.
OrderedJson summarise(std::span<const DepthTrace> trace, size_t n_layer);
OrderedJson summarise(const ExitCounts& exits, size_t n_layer);

}  // namespace fathom
