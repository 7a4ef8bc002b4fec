// SPDX-License-Identifier: Apache-2.0
// Pooling: one vector from the rows of a sequence at one layer. state_pooling.h pools the recurrent
// state instead.
#pragma once

#include <span>
#include <vector>

#include "depth/reading.h"
#include "kernels/backend.h"

namespace fathom {

// Pools a batch of sequences at one layer; a sequence may come in several pieces. Sums are double
// and in token order, so that cutting a sequence or changing its neighbours changes no bit.
class Pool {
 public:
  // One that pools rows. eos: for kEos.
  Pool(Pooling pooling, size_t n_sequence, size_t dim, EosRule eos = {});

  // Rows of every sequence, (T, dim), packed by offsets. Row t of sequence s is its token
  // position[s] + (t - offsets[s]); tokens before `first` are passed over. ids: (T), for kEos.
  void add(const Backend& backend, ThreadPool& threads, Matrix<const float> rows,
           std::span<const size_t> offsets, std::span<const size_t> position,
           std::span<const size_t> first, std::span<const uint32_t> ids = {});
  // The pooled vector of sequence s, (dim). At least one token that counts must have been added. If
  // one was not finite, nor is the vector; of kMax it is NaN.
  void finish(size_t s, std::span<float> out) const;

 private:
  Pooling pooling_;
  EosRule eos_;
  size_t n_sequence_, dim_;
  std::vector<double> sum_;     // (n_sequence, dim) mean, weighted, eos
  std::vector<float> value_;    // (n_sequence, dim) last, max
  std::vector<bool> is_lost_;   // (n_sequence) max: a row was not finite
  std::vector<double> weight_;  // (n_sequence) what sum_ is divided by
};

}  // namespace fathom
