// SPDX-License-Identifier: Apache-2.0
// Encoder: token sequences to embeddings at any layers, all of them in one pass.
//
// Sequences are packed end to end up to a budget of tokens; one that is longer runs alone, in
// pieces, with its recurrent state carried, so memory is bounded by the budget. An embedding
// depends on its own tokens only: not on its neighbours, the budget, or the number of threads.
//
// Under a depth policy there is one vector a text, from where the policy let it stop. Sequences
// that stop leave the batch, which therefore starts with several budgets of tokens; products still
// run on at most one. A policy that reads pooled vectors decides about whole sequences: the residual
// stream of a long one is kept whole, 4 (d_model + d_att) bytes a token.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "depth/layers.h"
#include "depth/policy.h"
#include "encode/batch.h"
#include "encode/pooling.h"
#include "encode/state_pooling.h"
#include "encode/task_heads.h"
#include "model/model.h"
#include "probe/postprocess.h"

namespace fathom {

class LiveRows;

Norm parse_norm(std::string_view name);  // "none", "ln_out"; UsageError
std::string_view name_of(Norm norm);

Scan parse_scan(std::string_view name);  // "forward", "reverse", "both", "echo"; UsageError
std::string_view name_of(Scan scan);

struct EncodeOptions {
  std::vector<size_t> layers;  // as layers.h numbers them; none with a depth policy
  Pooling pooling = Pooling::kMean;
  Norm norm = Norm::kNone;
  bool normalize = false;         // L2; a zero vector stays zero
  std::optional<Token> bos = {};  // put in front of every scan; it is pooled like any token
  // For kEos: put behind every scan that does not end in it, and pooled where it stands. nullopt:
  // nothing is put there, and the last token is pooled.
  std::optional<Token> eos = kEosToken;
  // Applied to what is pooled, which has to be kEos at layer final alone.
  std::optional<HeadKind> head = {};
  Scan scan = Scan::kForward;
  size_t batch_tokens = 1024;
  // Applied to the pooled vectors: one for each of `layers`, or none at all. Not with a depth policy,
  // which brings its own.
  std::vector<Postprocess> post = {};
};

// Tokens that a text of n tokens becomes: BOS, EOS (Pooling::kEos puts one at the end of every scan
// that has none there) and second scans included.
size_t scanned_tokens(size_t n, const EncodeOptions& options);
// The token that the pooling puts at the end of a scan: options.eos with kEos, else none.
std::optional<Token> appended_eos(const EncodeOptions& options);
// What kEos pools.
EosRule eos_rule(const EncodeOptions& options);

// What a run cost, beside the clock.
struct EncodeStats {
  size_t n_token = 0;      // rows of the residual stream computed, BOS and second scans included
  size_t n_batch = 0;      // packed batches, or pieces of a long sequence
  size_t n_block_run = 0;  // blocks of which a half ran, for each batch or piece
  std::vector<BlockRows> rows = {};  // (n_layer) rows that each half really ran on
  size_t n_pooled_row = 0;           // rows that were pooled for the depth policy

  EncodeStats& operator+=(const EncodeStats& other);
};

class Encoder {
 public:
  // Throws UsageError for layers that the model has not or was not opened for (or that have no
  // state, to pool it), a budget of 0 and options that exclude each other; Error for a head that the model has not.
  // Model and policy must outlive the encoder. Immutable: share it, with one Workspace a thread.
  explicit Encoder(const Model& model, EncodeOptions options, const DepthPolicy* policy = nullptr);

  const EncodeOptions& options() const { return options_; }
  const Model& model() const { return model_; }
  const DepthPolicy* policy() const { return policy_; }  // nullptr: every layer that is asked for
  size_t n_vector() const { return policy_ ? 1 : options_.layers.size(); }  // of a text
  size_t dim() const;

  // out: (n_vector, n_text, dim), layers in the order chosen. Every text needs a token (BOS and EOS
  // count). `progress`, if given, is called with the number of texts done, from this thread. trace:
  // (n_text) or empty, what the policy did with each. Throws Error: an empty text, a token id
  // beyond the vocabulary, an odd number of texts where the policy decides by pair.
  EncodeStats encode(std::span<const std::vector<Token>> texts, std::span<float> out,
                     Workspace& work, const std::function<void(size_t)>& progress = {},
                     std::span<DepthTrace> trace = {}) const;

  // The first layer, as layers.h numbers them from 0 to L, at which a row of these texts is not
  // finite, of those that encode() runs; nullopt if none is. Runs them as encode() does.
  std::optional<size_t> first_nonfinite_layer(std::span<const std::vector<Token>> texts,
                                              Workspace& work) const;

 private:
  struct Job;
  EncodeStats encode_texts(std::span<const std::vector<Token>> texts, std::span<float> out,
                           Workspace& work, const std::function<void(size_t)>& progress,
                           std::span<DepthTrace> trace, std::optional<size_t>* nonfinite) const;
  size_t pooled_size() const;  // of a vector before options().post
  void check_options() const;
  void check_post() const;
  void check_policy() const;
  void check_eos() const;
  // Whether sequences of one batch may stop at different layers.
  bool is_adaptive() const { return policy_ && !policy_->depth(); }
  void run_pass(std::span<const std::vector<Token>> texts, bool reverse, Job& job, Workspace& work,
                EncodeStats& stats, const std::function<void(size_t)>& progress) const;
  void run_batch(const Job& job, Workspace& work, EncodeStats& stats) const;
  // One packed batch, or the next tokens of a long scan, through the blocks and into the pools.
  void run_piece(const Job& job, std::span<const Token> tokens, const Rows& rows,
                 std::span<const size_t> position, std::span<Pool> pools, Workspace& work,
                 EncodeStats& stats) const;
  void add_to_pools(const Job& job, size_t layer, const LiveRows& live,
                    std::span<const size_t> position, std::span<Pool> pools, Workspace& work) const;

  const Model& model_;
  EncodeOptions options_;
  const DepthPolicy* policy_;
  std::vector<size_t> taps_;  // layers at which every sequence is pooled
  size_t deepest_ = 0;        // blocks that must run
  size_t room_ = 0;           // tokens in one batch
  size_t max_sequences_ = 0;  // in one batch, so that their states stay within bounds
  std::optional<TaskHead> head_;
};

}  // namespace fathom
