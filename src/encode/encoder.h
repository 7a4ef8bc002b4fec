// SPDX-License-Identifier: Apache-2.0
// Encoder: token sequences to embeddings at any layers, all in one pass.
//
// Sequences are packed end to end up to a budget of tokens. A longer sequence runs alone, in pieces
// that carry its recurrent state, so the budget bounds the memory. An embedding depends on its own
// tokens only: not on the other sequences, the budget, or the number of threads.
//
// Under a depth policy there is one vector for each text, from the layer at which it stopped. A
// policy that reads pooled vectors decides about whole sequences. The residual stream of a long
// sequence is then kept whole: 4 (d_model + d_att) bytes a token.
//
// Texts of one batch may differ in layers, pooling, scan and policy. Finished sequences leave the
// batch. If sequences may finish at different layers, a batch starts with several budgets of
// tokens; products still run on at most one budget.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "depth/layers.h"
#include "depth/policy.h"
#include "depth/reading.h"
#include "encode/batch_run.h"
#include "encode/plan.h"
#include "encode/pooling.h"
#include "encode/state_pooling.h"
#include "encode/task_heads.h"
#include "encode/text_source.h"
#include "model/model.h"
#include "probe/postprocess.h"
#include "text/tokenizer.h"

namespace fathom {

// How texts are read, and how many run together.
struct EncodeOptions : Reading {
  // Applied to the pooled vector. Needs kEos and layer final alone.
  std::optional<HeadKind> head = {};
  size_t batch_tokens = 1024;
  // Applied to the pooled vectors: one for each of `layers`, or none at all. Not with a depth
  // policy, which brings its own.
  std::vector<Postprocess> post = {};
};

// One text of a batch.
struct Request {
  std::span<const Token> tokens = {};
  // nullptr: as the encoder reads all texts, under its policy, with its head and post-processing.
  const Reading* reading = nullptr;
  const DepthPolicy* policy = nullptr;  // beside a reading of its own; nullptr: that one's layers
  // Receives its vectors, (n_vector, dim) as shape() returns, one after the other, or `step`
  // numbers from the beginning of one to that of the next.
  std::span<float> out = {};
  size_t step = 0;              // 0: dim
  DepthTrace* trace = nullptr;  // gets what the policy did, if given
  // In the place of `tokens`: they come in pieces, and no more than one is held. At least one
  // token; of a text that is read forward alone and under no policy. It is read once.
  TokenSource* source = nullptr;
};

// Of the vectors of a text.
struct VectorShape {
  size_t n_vector = 0, dim = 0;
};

class Encoder {
 public:
  // Throws UsageError for layers that the model does not have or was not opened for (or that have
  // no state, to pool it), a budget of 0, more dimensions than a vector has and options that
  // exclude each other; Error for a head that the model does not have, or post-processing that does
  // not fit. Model and policy must outlive the encoder. Immutable: share it, with one Workspace a
  // thread.
  explicit Encoder(const Model& model, EncodeOptions options, const DepthPolicy* policy = nullptr);

  const EncodeOptions& options() const { return options_; }
  const Model& model() const { return model_; }
  const DepthPolicy* policy() const { return policy_; }  // nullptr: every requested layer
  bool by_pair() const { return plan_.by_pair(); }       // the policy decides about two texts
  size_t n_vector() const { return plan_.n_vector(); }   // of a text
  size_t dim() const { return plan_.dim; }
  // Of a text with a reading of its own. Throws as the constructor does.
  VectorShape shape(const Reading& reading, const DepthPolicy* policy = nullptr) const;

  // Called with the number of texts done, from the calling thread, between batches. What it throws
  // ends the call.
  using Progress = std::function<void(size_t)>;

  // out: (n_vector, n_text, dim), layers in the order chosen. Every text needs a token (BOS and EOS
  // count). trace: (n_text) or empty, what the policy did with each. Throws Error: an empty text, a
  // token id beyond the vocabulary, an odd number of texts where the policy decides by pair, a span
  // of another size.
  EncodeStats encode(std::span<const std::vector<Token>> texts, std::span<float> out,
                     Workspace& work, const Progress& progress = {},
                     std::span<DepthTrace> trace = {}) const;

  // Texts with readings and policies of their own, packed together: the vectors and traces are
  // those of each alone. Under a policy that decides by pair, the two texts of a pair are
  // neighbours with equal readings. Throws as above and, for readings, as the constructor; nothing
  // has been written then.
  EncodeStats encode(std::span<const Request> requests, Workspace& work,
                     const Progress& progress = {}) const;

  // The first layer, as layers.h numbers them from 0 to L, at which a row of these texts is not
  // finite, of those that encode() runs; nullopt if none is. Runs them as encode() does.
  std::optional<size_t> first_nonfinite_layer(std::span<const std::vector<Token>> texts,
                                              Workspace& work) const;

 private:
  struct Call;
  EncodeStats run(std::span<const Request> requests, Workspace& work, const Progress& progress,
                  std::optional<size_t>* nonfinite) const;
  std::vector<Request> requests_for(std::span<const std::vector<Token>> texts, std::span<float> out,
                                    std::span<DepthTrace> trace) const;

  const Model& model_;
  EncodeOptions options_;
  const DepthPolicy* policy_;
  std::optional<TaskHead> head_;
  Plan plan_;              // of options_ and policy_
  size_t max_states_ = 0;  // in one batch, so that they stay within bounds
};

}  // namespace fathom
