// SPDX-License-Identifier: Apache-2.0
// Plan: one way to read texts, checked against a model. It has the layers to pool, the number of
// blocks that may run, and the size of a vector. Private to the encoder.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "depth/policy.h"
#include "depth/reading.h"
#include "encode/task_heads.h"
#include "model/model.h"
#include "probe/postprocess.h"

namespace fathom {

struct Plan {
  Reading reading;
  const DepthPolicy* policy = nullptr;     // nullptr: the reading's layers
  std::optional<HeadKind> head = {};       // reads the pooled vector
  std::span<const Postprocess> post = {};  // (n_vector) or empty: of pooled vectors, after `head`
  // From here on made by make_plan().
  std::vector<size_t> taps = {};  // layers at which every sequence is pooled; none if adaptive
  size_t deepest = 0;             // blocks that may run
  size_t pooled_size = 0;         // of a pooled vector
  size_t dim = 0;                 // of a returned vector

  size_t n_vector() const { return policy ? 1 : reading.layers.size(); }
  // Whether sequences of one batch may stop at different layers.
  bool adaptive() const { return policy && !policy->depth(); }
  bool by_pair() const { return policy && policy->by_pair(); }
  bool pools_state() const { return fathom::pools_state(reading.pooling); }
  // Whether the pooled vector is returned unchanged, except for normalisation.
  bool returns_pooled() const {
    return reading.scan != Scan::kBoth && !head && post.empty() && dim == pooled_size;
  }
};

// Fills in the rest. Throws UsageError for layers that the model does not have or was not opened
// for (or that have no state, to pool it) and parts that exclude each other; Error for
// post-processing that does not fit.
Plan make_plan(const Model& model, Plan plan);

}  // namespace fathom
