// SPDX-License-Identifier: Apache-2.0
#include "encode/batch_run.h"

#include <algorithm>
#include <tuple>

#include "encode/batch.h"
#include "encode/nonfinite.h"

namespace fathom {
namespace {

// Lowers `first` to the layer if a row is not finite there.
void note_nonfinite(Matrix<const float> x, size_t layer, std::optional<size_t>& first) {
  if (first && *first <= layer) return;
  for (size_t t = 0; t < x.rows(); ++t)
    if (!all_finite(x.row(t))) {
      first = layer;
      return;
    }
}

// Sequences of a plan are neighbours, so that they are pooled together and decide together; the
// deepest in front, so that what stops early leaves from the end and nothing moves up.
void bring_together(std::span<Sequence> sequences) {
  std::ranges::stable_sort(sequences, [](const Sequence& a, const Sequence& b) {
    return std::tuple(b.plan->deepest, a.plan_number) < std::tuple(a.plan->deepest, b.plan_number);
  });
}

// Whether the sequence runs with a state: what it carries from piece to piece, starts from or is
// pooled from.
bool needs_state(const Sequence& sequence, const Model& model, size_t budget) {
  return sequence.source || sequence.tokens.size() > budget || model.has_initial_state() ||
         sequence.plan->pools_state();
}

class BatchRun {
 public:
  BatchRun(const Model& model, std::span<const Sequence> sequences, size_t budget, Workspace& work,
           EncodeStats& stats, std::optional<size_t>* nonfinite)
      : model_(model), budget_(budget), work_(work), stats_(stats), nonfinite_(nonfinite) {
    for (const Sequence& s : sequences)
      if (!s.source) batch_.add(s.tokens);
    source_ = sequences[0].source;
    FATHOM_ASSERT(!source_ || (sequences.size() == 1 && !sequences[0].plan->adaptive()));
    make_states(sequences);
    for (size_t begin = 0; begin < sequences.size();) {
      const Plan* plan = sequences[begin].plan;
      size_t end = begin;
      while (end < sequences.size() && sequences[end].plan == plan) ++end;
      const std::span<State* const> all(state_of_);
      groups_.emplace_back(model, *plan, sequences.subspan(begin, end - begin),
                           all.empty() ? all : all.subspan(begin, end - begin), work);
      begin = end;
    }
    const bool in_pieces = sequences.size() == 1 && !sequences[0].plan->adaptive();
    piece_ = in_pieces ? budget : batch_.n_token();
  }

  void run() {
    if (source_) run_source();
    const std::span<const size_t> offsets = batch_.offsets();
    for (size_t begin = 0; begin < batch_.n_token();) {
      const size_t end = std::min(begin + piece_, batch_.n_token());
      const size_t piece_offsets[] = {0, end - begin};
      const bool whole = end - begin == batch_.n_token();
      run_piece(batch_.tokens().subspan(begin, end - begin), whole ? offsets : piece_offsets);
      stats_.n_token += end - begin;
      ++stats_.n_batch;
      begin = end;
      if (!whole) work_.between();
    }
    for (GroupRun& group : groups_) {
      group.finish();
      stats_.n_pooled_row += group.n_pooled_row();
    }
  }

 private:
  void make_states(std::span<const Sequence> sequences) {
    states_.reserve(sequences.size());
    state_of_.assign(sequences.size(), nullptr);
    for (size_t s = 0; s < sequences.size(); ++s)
      if (needs_state(sequences[s], model_, budget_))
        state_of_[s] = &states_.emplace_back(model_.initial_state());
    if (states_.empty()) state_of_.clear();
  }

  // The same pieces as of a sequence that is held.
  void run_source() {
    std::vector<Token> piece(budget_);
    while (const size_t n = source_->read(piece)) {
      const size_t offsets[] = {0, n};
      run_piece(std::span(piece).first(n), offsets);
      stats_.n_token += n;
      ++stats_.n_batch;
      work_.between();
    }
  }

  void run_piece(std::span<const Token> tokens, std::span<const size_t> offsets) {
    LiveRows live(model_, tokens, offsets, state_of_, budget_, work_);
    live.embed();
    for (GroupRun& group : groups_) group.start_piece();
    for (size_t layer = 0;; ++layer) {
      if (nonfinite_) note_nonfinite(live.x(), layer, *nonfinite_);
      decide(layer, live);
      if (live.size() == 0) break;
      live.run(layer, steps_, stats_.rows[layer]);
      stats_.n_block_run += std::ranges::any_of(steps_, [](Step s) { return s != Step::kSkip; });
    }
    std::vector<size_t> n_token;
    for (size_t s = 0; s + 1 < offsets.size(); ++s) n_token.push_back(offsets[s + 1] - offsets[s]);
    std::span<const size_t> rest = n_token;
    for (GroupRun& group : groups_) {
      group.end_piece(rest.first(group.n_sequence()));
      rest = rest.subspan(group.n_sequence());
    }
  }

  // What every live sequence runs next, into steps_; those that are done leave the batch.
  void decide(size_t layer, LiveRows& live) {
    steps_.clear();
    for (GroupRun& group : groups_) {
      if (group.size() == 0) continue;
      const std::span<const Step> next = group.decide(layer, live, steps_.size());
      steps_.insert(steps_.end(), next.begin(), next.end());
    }
    live.drop_stopped(steps_);
    std::erase(steps_, Step::kStop);
  }

  const Model& model_;
  size_t budget_, piece_ = 0;  // tokens of a product; of a piece
  Workspace& work_;
  EncodeStats& stats_;
  std::optional<size_t>* nonfinite_;
  Batch batch_;
  TokenSource* source_ = nullptr;  // of the only sequence, which is then not in the batch
  std::vector<State> states_;
  std::vector<State*> state_of_;  // (n_sequence) or empty
  std::vector<GroupRun> groups_;
  std::vector<Step> steps_;
};

}  // namespace

EncodeStats& EncodeStats::operator+=(const EncodeStats& other) {
  n_token += other.n_token;
  n_batch += other.n_batch;
  n_block_run += other.n_block_run;
  n_pooled_row += other.n_pooled_row;
  rows.resize(std::max(rows.size(), other.rows.size()));
  for (size_t i = 0; i < other.rows.size(); ++i) {
    rows[i].time_mix += other.rows[i].time_mix;
    rows[i].channel_mix += other.rows[i].channel_mix;
    rows[i].v_first += other.rows[i].v_first;
  }
  return *this;
}

void run_batch(const Model& model, std::span<Sequence> sequences, size_t budget, Workspace& work,
               EncodeStats& stats, std::optional<size_t>* nonfinite) {
  bring_together(sequences);
  BatchRun(model, sequences, budget, work, stats, nonfinite).run();
}

}  // namespace fathom
