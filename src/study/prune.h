// SPDX-License-Identifier: Apache-2.0
// Finds blocks or sublayers that a model does not need, and compares the result with the whole
// model, with truncation and with random masks of the same size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "study/mask_corpus.h"

namespace fathom {

enum class PruneMethod : uint8_t {
  kInfluence,     // "bi": Block Influence
  kAngular,       // "angular": a contiguous range
  kGreedy,        // "greedy"
  kCrossEntropy,  // "cem"
  kRandom,        // "random": a control
};
PruneMethod parse_prune_method(std::string_view name);  // UsageError
std::string_view name_of(PruneMethod method);

struct PruneOptions {
  MaskSize size = {};
  PruneMethod method = PruneMethod::kGreedy;
  ObjectiveKind objective = ObjectiveKind::kCosine;
  bool pooled_rows = false;    // kInfluence compares pooled vectors, else token rows
  std::string reference = {};  // as reference_layer() takes it
  uint64_t seed = 1;
  std::string command = {};  // for the record: what a user typed
};

// What a mask loses on the texts that it was fitted on, and on others.
struct MaskLosses {
  double share = 0;  // of the FLOPs
  double fitted = 0, held_out = 0;
};

struct PruneResult {
  static constexpr size_t kRandomMasks = 20;

  PruneOptions options;
  PruneProblem problem;
  size_t reference = 0;  // layer; of ObjectiveKind::kCosine and kRsa
  MaskSearch search;
  MaskLosses found, whole, truncated, random;  // random: means of kRandomMasks
  double best_random = 0;                      // on held-out texts
  size_t n_random_worse = 0;                   // than what was found, on held-out texts
  PolicyFile file;                             // the mask, with summary_json() in `fitted`
};

// Tells the corpus's listener of a stage "masks". Throws UsageError: an objective or a reference
// that these texts do not have; Error as the searches do.
PruneResult prune(MaskCorpus& corpus, const PruneOptions& options);

// How it was searched and what was found, as the policy file holds it.
OrderedJson summary_json(const PruneResult& result);

}  // namespace fathom
