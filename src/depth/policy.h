// SPDX-License-Identifier: Apache-2.0
// DepthPolicy: how deep each sequence runs. Fixed depth, pruning, early exit and routing all answer
// one question at every block boundary: which sublayers of the next block run for this sequence, or
// does it stop here?
//
// Boundary l is in front of block l (0-based). The residual stream there is layer l in the
// numbering of layers.h. After the last block, at boundary n_layer, the policy is called once more
// to record its answer; all sequences stop there.
//
// A policy is immutable: share it between threads. Mutable data is in the trace and the scratch of
// each sequence. A decision depends only on the sequence (or its pair), so the other sequences,
// budgets and threads change nothing.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "base/thread_pool.h"

namespace fathom {

// The sublayers of a block that run, as bits, or a stop.
enum class Step : uint8_t { kSkip = 0, kTimeMix = 1, kChannelMix = 2, kBlock = 3, kStop = 4 };

inline bool runs(Step step, Step sublayer) {  // sublayer: kTimeMix or kChannelMix
  return (static_cast<unsigned>(step) & static_cast<unsigned>(sublayer)) != 0;
}

// What a policy did with one sequence. Costs and reports are computed from it.
struct DepthTrace {
  // Counted by the encoder.
  uint32_t exit_layer = 0;  // the layer that was pooled
  uint32_t n_time_mix = 0;  // sublayers that ran
  uint32_t n_channel_mix = 0;
  bool v_first_alone = false;  // v7: block 0's time mix was skipped, v_first was computed
  // Recorded by the policy at its last decision.
  int32_t route = -1;  // the mask chosen
  int32_t predicted_class = -1;
  float predicted_value = std::numeric_limits<float>::quiet_NaN();  // regression; cosine of a pair
  float confidence = std::numeric_limits<float>::quiet_NaN();       // larger is more certain

  uint32_t n_sublayer() const { return n_time_mix + n_channel_mix; }
};

// Number of rows on which the parts of one block ran, over a whole batch.
struct BlockRows {
  uint64_t time_mix = 0, channel_mix = 0;
  uint64_t v_first = 0;  // v7's block 0: time mix skipped, v_first made alone
};

// The sequences that are still running, in the order of the batch.
struct Boundary {
  size_t layer = 0;
  // (n_live, d_model), of this boundary and of the last one that the policy read before; empty if
  // reads_pooled() is false, or nothing was read before.
  Matrix<const float> pooled = {}, previous = {};
  // (n_live) index of the sequence's pair. The two sequences of a pair are neighbours. If the
  // policy does not decide by pair, every sequence has its own index.
  std::span<const uint32_t> pair = {};
  Matrix<double> scratch = {};       // (n_live, scratch()), zero at boundary 0
  std::span<DepthTrace> trace = {};  // (n_live)
  ThreadPool* threads = nullptr;     // for long work; nullptr: the calling thread alone
};

class DepthPolicy {
 public:
  virtual ~DepthPolicy() = default;

  virtual std::string name() const = 0;  // "fixed:6", "exit:mrpc.policy", for reports

  // The layer at which every sequence stops, if it is the same for all inputs. decide() then gives
  // the same steps to every sequence, and a long sequence can run in pieces.
  virtual std::optional<size_t> depth() const { return std::nullopt; }
  // Whether sequences 2 i and 2 i + 1 are a pair that takes every step together.
  virtual bool by_pair() const { return false; }
  // Whether decide() reads `pooled` at this boundary. Pooling has a cost.
  virtual bool reads_pooled(size_t /*layer*/) const { return false; }
  // Numbers kept for each sequence from boundary to boundary.
  virtual size_t scratch() const { return 0; }
  // Writes a step for every live sequence; the same one to both of a pair if by_pair().
  virtual void decide(const Boundary& at, std::span<Step> steps) const = 0;

  // Which sublayers of this block ran for a sequence with this trace.
  virtual Step taken(const DepthTrace& trace, size_t layer) const {
    return layer < trace.exit_layer ? Step::kBlock : Step::kStop;
  }

  // The result of a sequence that stopped at `layer`, (dim), from its pooled vector, (d_model).
  virtual size_t dim(size_t d_model) const { return d_model; }
  virtual void finish(size_t /*layer*/, std::span<const float> pooled, std::span<float> out) const {
    for (size_t i = 0; i < out.size(); ++i) out[i] = pooled[i];
  }

  // FLOPs of a decision at this boundary beside pooling (heads, routers, ...), and of finish() for
  // a sequence that stops there; a sequence's share (half) where a pair decides once.
  virtual double decision_flops(size_t /*layer*/, size_t /*d_model*/) const { return 0; }
  virtual double finish_flops(size_t /*layer*/, size_t /*d_model*/) const { return 0; }
};

}  // namespace fathom
