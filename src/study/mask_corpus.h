// SPDX-License-Identifier: Apache-2.0
// The input of prune and route: the texts that masks are fitted and evaluated on, how texts become
// vectors, how much has to be removed, and the policy file with its origin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "depth/policy_file.h"
#include "encode/open_model.h"
#include "eval/dataset.h"
#include "study/listener.h"
#include "study/mask_objective.h"

namespace fathom {

// Either a file or tasks.
struct MaskSources {
  std::string texts = {};               // sentences, as read_sentences() takes them
  std::string field = {};               // of theirs, likewise
  std::vector<std::string> tasks = {};  // whose train splits are taken
  std::string data = {};                // the root of the data sets; "": find_data_root()
  // Sentences (examples of each task) to fit on, and as many others, drawn by the seed. Where there
  // are fewer, both get their share.
  size_t sample = 256, held_out = 256;
  uint64_t seed = 1;
};

// How much has to go: one of `keep` and `n_remove`.
struct MaskSize {
  UnitKind unit = UnitKind::kSublayer;
  double keep = 0;         // share of the blocks' FLOPs that is left; 0: not given
  size_t n_remove = 0;     // units; 0: not given
  size_t n_protected = 0;  // blocks at the front that always run
};
// With at least `n_first` protected blocks. Throws UsageError, or Error if too much has to go.
PruneProblem problem_of(const MaskSize& size, const CostModel& cost, size_t n_first = 0);

struct MaskExamples {
  std::vector<std::string> texts;  // of pair tasks a0, b0, a1, b1, ...
  std::vector<double> gold;        // (n_pair) of a single zero-shot pair task, else empty
  std::vector<double> label;       // (n_example) classes or scores of a single task, else empty
  std::vector<std::vector<Token>> ids;  // (n_text)
};

// A model, and two sets of texts that have no sentence in common: masks are searched on the first,
// what they lose is told for the second. The splits that tasks are reported on are not touched. One
// caller at a time.
struct MaskCorpus {
  // The model and the listener must outlive it. Throws Error: nothing there, no train split, an
  // empty sentence; UsageError.
  MaskCorpus(OpenModel& open, EncodeOptions options, const MaskSources& sources,
             const Listener& listener);

  MaskTexts texts(const MaskExamples& examples) const {
    return {open.model, options, examples.ids};
  }
  CostModel cost() const { return cost_model(open.model.config()); }

  OpenModel& open;
  const Listener& listener;
  EncodeOptions options;
  MaskExamples fitted, held_out;
  const Task* task = nullptr;  // a single one
  MaskSources sources;
  OrderedJson provenance;  // "data", "files", "notes", "left_out", "n_text", "n_held_out", "seed"
};

// A layer by name: a number, "full" (the default without gold values) or "best" (with them): the
// layer with the best Spearman on the texts that masks are fitted on. "": the default. Throws
// UsageError.
size_t reference_layer(const std::string& name, const MaskCorpus& corpus);

// Everything but the rule. command: for the record, what a user typed.
PolicyFile policy_for(const MaskCorpus& corpus, const MaskSize& size, const std::string& command);

// "block 3", "time mix 3", "channel mix 3", counted from 1.
std::string unit_name(const PruneUnit& unit);

}  // namespace fathom
