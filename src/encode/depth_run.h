// SPDX-License-Identifier: Apache-2.0
// DepthRun: one packed batch under a depth policy. Pools what the policy reads, asks it, pools what
// stops, takes it out of the batch. Private to the encoder.
#pragma once

#include <span>
#include <vector>

#include "depth/policy.h"
#include "encode/live_rows.h"
#include "encode/pooling.h"

namespace fathom {

// Where the vectors of a batch come from and go.
struct DepthJob {
  Pooling pooling = Pooling::kMean;
  EosRule eos = {};                  // for Pooling::kEos
  bool ln_out = false;               // pool ln_out of the rows instead of the rows
  size_t deepest = 0;                // the last boundary: everything stops there
  std::span<const size_t> first;     // (n_sequence) tokens before it are not pooled
  Matrix<float> out = {};            // (n_sequence, policy.dim()); not written if policy.depth()
  std::span<DepthTrace> trace = {};  // (n_sequence), or empty
};

class DepthRun {
 public:
  // All must outlive this. No sequence has run yet.
  DepthRun(const Model& model, const DepthPolicy& policy, const DepthJob& job, LiveRows& live,
           Workspace& work);

  // What the sequences that are left in `live` run next, none at the last boundary. Boundaries come
  // in order, each once.
  std::span<const Step> decide(size_t layer);
  size_t n_pooled_row() const { return n_pooled_row_; }  // so far

 private:
  void pool();
  void finish_stopped(size_t layer);
  template <class T>
  void compact(std::vector<T>& values, size_t width) const;

  const Model& model_;
  const DepthPolicy& policy_;
  const DepthJob& job_;
  LiveRows& live_;
  Workspace& work_;
  // Of the live sequences.
  std::vector<Step> steps_;
  std::vector<DepthTrace> trace_;
  std::vector<uint32_t> pair_;
  std::vector<double> scratch_;           // (n_live, policy.scratch())
  std::vector<float> pooled_, previous_;  // (n_live, d_model) or empty
  size_t n_pooled_row_ = 0;
};

}  // namespace fathom
