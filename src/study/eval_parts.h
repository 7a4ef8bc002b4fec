// SPDX-License-Identifier: Apache-2.0
// Partial results of an evaluation, so that it can resume: cosines in blocks of pairs, and times
// layer by layer, each in a separate file (result_store.h).
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "encode/open_model.h"
#include "eval/run.h"
#include "study/result_store.h"

namespace fathom {

// Cosines of a block of pairs, (n_layer) each (n_pair), and the vectors that have none.
struct ScoredBlock {
  std::vector<std::vector<double>> scores;
  std::vector<NonFiniteVectors> nonfinite;  // first_pair: in the block
};

// One thread at a time.
class EvalParts {
 public:
  // The folder is made when the first part is kept.
  explicit EvalParts(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // What is kept under this name and key, else what `make` gives, which is kept then.
  ScoredBlock scores(const std::string& name, const OrderedJson& key,
                     const std::function<ScoredBlock()>& make);
  PairTime time(const std::string& name, const OrderedJson& key,
                const std::function<PairTime()>& make);

  // Of parts that this object has read or written: the work is done.
  void remove();

 private:
  template <class Part>
  Part kept_or(const std::string& name, const OrderedJson& key, const std::function<Part()>& make);

  std::filesystem::path folder_;
  std::optional<ResultStore> store_;
  std::vector<std::filesystem::path> files_;
};

// What cosines of these texts at the encoder's layers depend on. Not for an encoder with a policy,
// a head or post-processing.
OrderedJson scores_key(const OpenModel& open, const Encoder& encoder, const PairTexts& texts);

// Layers by block of pairs: as rwkv_scores(), and the same numbers. parts: nullptr: nothing is
// kept.
std::vector<std::vector<double>> scores_in_parts(const Encoder& encoder, OpenModel& open,
                                                 const std::string& name, const PairTexts& texts,
                                                 const ScoreOptions& options, EvalParts* parts);

}  // namespace fathom
