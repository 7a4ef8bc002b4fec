// SPDX-License-Identifier: Apache-2.0
// Trace: all hidden states of one token sequence, for comparison with other engines.
#pragma once

#include <span>
#include <vector>

#include "model/model.h"

namespace fathom {

// All F32, row-major. L blocks, T tokens, C d_model, V n_vocab. hidden[0] is ln0's output,
// hidden[i] the residual stream after block i.
struct Trace {
  size_t n_layer = 0, n_token = 0, d_model = 0, n_vocab = 0;
  std::vector<float> hidden;       // (L + 1, T, C)
  std::vector<float> final;        // (T, C) ln_out(hidden[L])
  std::vector<float> mean;         // (L + 1, C) over the tokens of hidden
  std::vector<float> last;         // (L + 1, C)
  std::vector<float> mean_lnout;   // (L + 1, C) mean of ln_out(hidden)
  std::vector<float> last_lnout;   // (L + 1, C)
  std::vector<float> logits;       // (T, V); empty if not asked for or without a head
  std::vector<float> logits_last;  // (V); empty without a head
  State state;                     // after the last token
};

struct TraceOptions {
  size_t chunk = 0;        // feed at most this many tokens at a time, with carried state; 0: 1024
  bool all_logits = true;  // of every token, not only of the last
};

// (L + 1, T, C) of the sequence alone, as Trace::hidden; `state` goes on behind what it was. chunk:
// as in TraceOptions. Throws as trace(); needs every block of the model.
std::vector<float> hidden_states(const Model& model, std::span<const uint32_t> ids, size_t chunk,
                                 State& state, Workspace& work);

// Throws Error for an empty sequence or an id beyond the vocabulary. Memory: all of the above.
Trace trace(const Model& model, std::span<const uint32_t> ids, const TraceOptions& options,
            Workspace& work);

}  // namespace fathom
