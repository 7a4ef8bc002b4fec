// SPDX-License-Identifier: Apache-2.0
// How fast a model embeds, where the time goes, and how much of what its matrix products allow.
//
// The GEMM ceiling of a workload is the time of its matrix products alone: the same packed weights
// in the same order on the same numbers of rows, by the same backend, with left-hand operands that are
// prepared, no bias or activation, and results in one f32 buffer. It is measured between the
// forward passes, so that a clock that drifts, or another program, is met by both. All times are
// wall time in seconds. A FLOP is half a multiply-add of a product with the true rows: padding,
// norms, recurrences and pooling count as none.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "encode/encoder.h"
#include "kernels/timed_backend.h"
#include "text/tokenizer.h"

namespace fathom {

// Sequences to embed, as ids or as texts that are tokenised anew every time.
struct Workload {
  std::string name;
  std::vector<std::vector<Token>> ids = {};
  std::vector<std::string> texts = {};
  size_t batch_tokens = EncodeOptions().batch_tokens;

  size_t size() const { return texts.empty() ? ids.size() : texts.size(); }
};

// n_token random ids below n_vocab (a fixed seed) in sequences of `length`, the last one perhaps
// shorter. All >= 1.
std::vector<std::vector<Token>> random_sequences(size_t n_token, size_t length, size_t n_vocab);

inline constexpr size_t kComputeCount = 3;  // values of Compute
using ByCompute = std::array<double, kComputeCount>;

// One repeat.
struct BenchSample {
  double seconds = 0;            // from texts or ids to vectors
  double tokenizer_seconds = 0;  // part of it
  TimedBackend::Tallies operators{};
  ByCompute product_seconds{};                    // operators[kMatmul], by the kind of product
  std::optional<ByCompute> ceiling = {};          // seconds of the products alone
  std::optional<double> all_layers_seconds = {};  // the same with every layer pooled

  double part_seconds(Part part) const;
  double rest_seconds() const;     // of `seconds`: in no operator, nor in the tokenizer
  double ceiling_seconds() const;  // 0 if not measured
};

// Which repeat stands for all: the fastest, or the middle one (of an even number, the faster of
// the two in the middle).
enum class TimeStatistic : uint8_t { kMedian, kBest };

struct BenchResult {
  size_t n_sequence = 0, n_token = 0, n_batch = 0;  // of one repeat; tokens that blocks ran on
  std::array<uint64_t, kComputeCount> flop{};       // by the kind of product
  uint64_t weight_bytes = 0;                        // packed weights that its products read
  std::vector<BenchSample> samples;                 // (n_repeat)

  // The repeat with the median or the least of a time.
  const BenchSample& pick(TimeStatistic statistic,
                          const std::function<double(const BenchSample&)>& seconds) const;
  uint64_t total_flop() const;
};

struct BenchOptions {
  size_t n_repeat = 3;       // at least
  double min_seconds = 0.5;  // more repeats until the forward passes have taken this long
  bool ceiling = true;
  bool all_layers = false;  // also time the pass that pools layers 0 .. n_layer and final
};

// One workload on one model with one workspace, none of which is copied.
class WorkloadBench {
 public:
  // Runs the workload once, to warm up and to count. The model is open on `timed`; of the options
  // the workload sets batch_tokens; the tokenizer is for texts. Throws what Encoder does, and Error for a text without tokens.
  WorkloadBench(const Workload& workload, const Model& model, EncodeOptions options,
                const Tokenizer* tokenizer, TimedBackend& timed, Workspace& work);

  // Measures; `progress` is called after every repeat with the share of the work that is done.
  const BenchResult& run(const BenchOptions& options,
                         const std::function<void(double)>& progress = {});

 private:
  EncodeStats encode(const Encoder& encoder, BenchSample& sample);

  const Workload& workload_;
  const Model& model_;
  EncodeOptions options_;
  Encoder encoder_;
  const Tokenizer* tokenizer_;
  TimedBackend& timed_;
  Workspace& work_;
  std::vector<ProductCall> calls_;  // of one repeat
  std::vector<float> out_;
  BenchResult result_;
};

// Bytes a second that the pool's threads together read from memory: the best of several readings of
// a buffer larger than the caches. Takes 256 MiB for that long.
double memory_read_rate(ThreadPool& pool);

}  // namespace fathom
