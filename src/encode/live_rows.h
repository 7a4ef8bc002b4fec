// SPDX-License-Identifier: Apache-2.0
// LiveRows: the live sequences of a packed batch and their rows of the residual stream. Sequences
// that stop are removed, which leaves fewer rows. A sublayer runs only on the sequences that need
// it. Private to the encoder.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "depth/policy.h"
#include "model/model.h"

namespace fathom {

class LiveRows {
 public:
  // tokens: (n_token), of sequences cut by offsets, (n_sequence + 1). states: (n_sequence), nullptr
  // entry or empty span as in Rows; a sequence longer than `budget` needs one. No product sees more
  // than `budget` rows: longer batches run in parts, whose results are the same to the last bit.
  // The arguments must outlive this. The residual stream is in `work`.
  LiveRows(const Model& model, std::span<const uint32_t> tokens, std::span<const size_t> offsets,
           std::span<State* const> states, size_t budget, Workspace& work);

  size_t size() const { return sequence_.size(); }                // live sequences
  std::span<const size_t> sequence() const { return sequence_; }  // (size()) number in the batch
  std::span<const size_t> offsets() const { return offsets_; }    // (size() + 1)
  std::span<const uint32_t> tokens() const { return tokens_; }    // (n_token)
  size_t n_token() const { return offsets_.back(); }
  Matrix<float> x() const { return x_.slice(0, n_token()); }  // (n_token, C), room for padded rows

  void embed();
  // The next block, in place: steps (size()), none of them kStop.
  void run(size_t layer, std::span<const Step> steps, BlockRows& count);
  // Takes out the sequences whose step is kStop; the others close ranks in their order.
  void drop_stopped(std::span<const Step> steps);

 private:
  enum class Part : uint8_t { kTimeMix, kChannelMix, kVFirst };
  void run_part(size_t layer, Part part, std::span<const size_t> chosen);
  void run_in_place(size_t layer, Part part, size_t first, size_t last);
  void run_rows(size_t layer, Part part, size_t begin, size_t end, const Rows& rows);
  void run_gathered(size_t layer, Part part, std::span<const size_t> chosen);
  void call(size_t layer, Part part, const Rows& rows, Matrix<float> x);
  size_t length(size_t s) const { return offsets_[s + 1] - offsets_[s]; }

  const Model& model_;
  Workspace& work_;
  size_t budget_;
  Matrix<float> x_, v_first_;  // (n_token at first, C and A); v_first: v7 only
  std::vector<size_t> sequence_, offsets_;
  std::vector<State*> states_;         // (size()) or empty
  std::span<const uint32_t> tokens_;   // of the live sequences
  std::vector<uint32_t> kept_tokens_;  // viewed by tokens_ after a sequence was removed
};

}  // namespace fathom
