// SPDX-License-Identifier: Apache-2.0
// Evaluation of a sentence-pair task: cosine similarity of the two embeddings against the gold
// value, at every layer and for GloVe, with bootstrap intervals and what each costs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "baseline/baseline.h"
#include "encode/encoder.h"
#include "eval/bootstrap.h"
#include "eval/cost.h"
#include "eval/dataset.h"
#include "text/tokenizer.h"

namespace fathom {

// Scores of one system at one depth.
struct Scores {
  std::string system;  // "rwkv" or "glove"
  // As depth/layers.h numbers them; policy_layer() under a depth policy; nullopt for GloVe.
  std::optional<size_t> layer;
  std::vector<double> evaluated;  // (n_pair) cosine of each pair of the evaluated split
  std::vector<double> train;      // (n_train_pair) of the split that thresholds are chosen on
};

struct MetricRow {
  std::string system;
  std::optional<size_t> layer;
  std::string metric;  // "spearman", ..., "spearman_minus_glove"
  double value = 0, low = 0, high = 0;
  std::optional<double> p = {};  // of a difference, two-sided
};

struct CostRow {
  std::string system;
  std::optional<size_t> layer;
  double flops_per_pair = 0;
  // Read on the way to the layer; under a policy the sublayers that a pair runs, mean over
  // the pairs; for GloVe the vectors held.
  uint64_t weight_bytes = 0;
  std::optional<double> seconds_per_pair_batch1, seconds_per_pair_packed;  // medians
  // In a process of the system's own, as far as the layer: study/own_process.h.
  std::optional<uint64_t> peak_rss_bytes;
  std::optional<TimeSpread> batch1_spread = {}, packed_spread = {};  // of the same seconds
};

// Seconds of a pair, measured.
struct PairTime {
  TimeSpread batch1, packed;
};

struct PairTexts {
  std::vector<std::string_view> a, b;  // (n_pair); costs also of single texts: b is empty then
};
PairTexts texts_of(const Dataset& data);

// Vectors of one layer that are not finite: their pairs have no cosine, and the layer no figures.
struct NonFiniteVectors {
  size_t n = 0;           // of the 2 n_pair sentences
  size_t first_pair = 0;  // if n > 0
  std::string why;        // of the first: the block to blame
};

// What rwkv_scores() is told and tells beside the cosines; all may be left out.
struct ScoreOptions {
  std::function<void(size_t)> progress = {};  // called with pairs done
  // Gets what the policy did with the sentences a0, b0, a1, ..., (2 n_pair).
  std::vector<DepthTrace>* trace = nullptr;
  std::vector<NonFiniteVectors>* nonfinite = nullptr;  // gets (n_vector)
  std::function<std::string(size_t)> place = {};       // what messages call a pair
};

// Cosine of every pair at every layer of the encoder, or under its depth policy, (n_vector) each
// (n_pair); NaN where a vector is not finite. Throws Error that names the pair: a sentence without
// a token.
std::vector<std::vector<double>> rwkv_scores(const Encoder& encoder, const Tokenizer& tokenizer,
                                             const PairTexts& texts, Workspace& work,
                                             const ScoreOptions& options = {});

struct BaselineScores {
  std::vector<double> scores;  // (n_pair)
  Coverage coverage;
};
BaselineScores baseline_scores(const Baseline& baseline, const PairTexts& texts);

// Every metric of every system with its 95 % interval; the same resamples for all. Binary tasks get
// spearman, pearson, auc, ap; accuracy and f1 at the threshold that is best on the train scores
// (left out where those are empty); accuracy_best and f1_best at the threshold that is best on the
// evaluated pairs themselves, which is optimistically biased. Graded tasks get spearman and pearson; where a data set
// has several parts, spearman is that of all pairs together and spearman_mean the mean over the
// parts. If a system
// called "glove" is there, every other gets METRIC_minus_glove as well, paired.
std::vector<MetricRow> metric_rows(std::span<const Scores> systems, const Dataset& evaluated,
                                   const Dataset* train, const BootstrapOptions& options,
                                   ThreadPool& pool);

struct CostOptions {
  bool measure = true;          // run the clock
  double budget_seconds = 0.5;  // about this long for one pass of one layer
  size_t n_repeat = 5;          // passes of which the median is taken, after one to warm up
  // Asked for the times of a layer, with what measures them; empty: they are measured. For times that
  // are known already.
  std::function<PairTime(size_t layer, const std::function<PairTime()>& measure)> times = {};
};

// What each layer of the encoder costs. Time is taken by running a separate encoder for that layer
// alone, tokenising included: one sentence a call (batch 1), and all sentences packed.
std::vector<CostRow> rwkv_costs(const Encoder& encoder, const Tokenizer& tokenizer,
                                const PairTexts& texts, Workspace& work, const CostOptions& options,
                                const std::function<void(size_t)>& progress = {});
// The same for an encoder with a depth policy: one row, FLOPs and weight bytes from the trace of
// rwkv_scores.
CostRow policy_cost(const Encoder& encoder, const Tokenizer& tokenizer, const PairTexts& texts,
                    std::span<const DepthTrace> trace, Workspace& work, const CostOptions& options);
// Of a baseline, which knows no batches: both times are one loop.
CostRow baseline_cost(const Baseline& baseline, const PairTexts& texts, const CostOptions& options);

}  // namespace fathom
