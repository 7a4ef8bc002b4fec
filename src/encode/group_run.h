// SPDX-License-Identifier: Apache-2.0
// GroupRun: the sequences of a packed batch that share a plan. It pools them at the plan's layers.
// Under a depth policy it pools what the policy reads, asks the policy, and pools the sequences
// that stop. Private to the encoder.
#pragma once

#include <span>
#include <vector>

#include "encode/live_rows.h"
#include "encode/plan.h"
#include "encode/pooling.h"
#include "encode/text_source.h"
#include "text/tokenizer.h"

namespace fathom {

// One scan of a text on its way through the model.
struct Sequence {
  const Plan* plan = nullptr;
  size_t plan_number = 0;         // plans of a call have different ones
  std::vector<Token> tokens;      // at least one
  size_t first = 0;               // tokens before it are not pooled (echo)
  TokenSource* source = nullptr;  // in the place of tokens: they come in pieces
  float* out = nullptr;  // its vectors as they are pooled, each `step` behind the one before
  size_t step = 0;
  DepthTrace* trace = nullptr;  // nullptr: not needed

  std::span<float> vector(size_t i) const { return {out + i * step, plan->pooled_size}; }
};

class GroupRun {
 public:
  // All sequences are of this plan. states: (n_sequence) nullptr where one has none; all have one
  // if the plan pools states. The arguments must outlive this.
  GroupRun(const Model& model, const Plan& plan, std::span<const Sequence> sequences,
           std::span<State* const> states, Workspace& work);

  size_t n_sequence() const { return sequences_.size(); }
  size_t size() const { return alive_.size(); }  // sequences that still run
  // All of them run their next tokens from the embedding on.
  void start_piece();
  // What its sequences, [begin, begin + size()) of `live`, run next; kStop for those that are done,
  // which the group then no longer counts. Boundaries come in order, each once. Lasts until the
  // next call.
  std::span<const Step> decide(size_t layer, const LiveRows& live, size_t begin);
  // They have run these many tokens: (n_sequence).
  void end_piece(std::span<const size_t> n_token);
  // All pieces have run: the vectors of the plan's layers.
  void finish();

  size_t n_pooled_row() const { return n_pooled_row_; }  // for the policy, so far

 private:
  // The group's rows in the batch.
  struct View {
    Matrix<const float> rows;     // (n_token, C)
    std::vector<size_t> offsets;  // (size() + 1)
    std::span<const uint32_t> tokens;
  };
  View view_of(const LiveRows& live, size_t begin) const;
  Matrix<const float> normed(const View& view);
  void pool_taps(size_t layer, const View& view);
  void pool_for_policy(const View& view);
  void ask_policy(size_t layer, const View& view);
  void finish_stopped(size_t layer, const View& view);
  template <class T>
  void compact(std::vector<T>& values, size_t width) const;

  const Model& model_;
  const Plan& plan_;
  std::span<const Sequence> sequences_;
  std::span<State* const> states_;
  Workspace& work_;
  std::vector<Pool> pools_;               // (taps) or empty
  std::vector<size_t> position_, first_;  // (n_sequence) tokens run before this piece; Sequence's
  size_t n_pooled_row_ = 0;
  // Of the sequences that run.
  std::vector<size_t> alive_;  // their numbers
  std::vector<Step> steps_;
  std::vector<DepthTrace> trace_;
  std::vector<uint32_t> pair_;
  std::vector<double> scratch_;           // (size(), policy's scratch())
  std::vector<float> pooled_, previous_;  // (size(), C) or empty
};

}  // namespace fathom
