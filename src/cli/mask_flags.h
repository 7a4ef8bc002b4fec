// SPDX-License-Identifier: Apache-2.0
// What `fathom prune` and `fathom route` share: the texts that masks are fitted on and those that
// they are judged on, how texts become vectors, and the policy file with where it came from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/flags.h"
#include "depth/policy_file.h"
#include "study/mask_objective.h"

namespace fathom::cli {

struct MaskFlags {
  ModelFlags model;
  EncodeFlags encode;
  std::string texts, data, output, unit = "half", reference;
  std::vector<std::string> tasks;
  size_t sample = 256, held_out = 256, n_protected = 0;
  double keep = 0;      // 0: not given
  size_t n_remove = 0;  // 0: not given
  uint64_t seed = 1;
  bool json = false;

  void add_to(CLI::App& command);
  // What needs no model; throws UsageError, or Error if there is no folder to write to.
  void check() const;
  // With at least `n_first` protected blocks. Throws UsageError, or Error if too much has to go.
  PruneProblem problem(const CostModel& cost, size_t n_first = 0) const;
};

struct MaskExamples {
  std::vector<std::string> texts;       // of pair tasks a0, b0, a1, b1, ...
  std::vector<double> gold;             // (n_pair) of a single zero-shot pair task, else empty
  std::vector<std::vector<Token>> ids;  // (n_text)
};

// A model, and two sets of texts that have no sentence in common: masks are searched on the first,
// what they lose is told for the second. The splits that tasks are reported on are not touched.
struct MaskBench {
  // --texts: sentences drawn by the seed; --tasks: examples of the train split of each. Where there
  // are fewer than --sample + --held-out, both get their share. Throws Error: nothing there, no
  // train split, an empty sentence; UsageError.
  explicit MaskBench(const MaskFlags& flags);

  MaskTexts texts(const MaskExamples& examples) const {
    return {open.model, options, examples.ids};
  }
  CostModel cost() const { return cost_model(open.model.config()); }

  OpenModel open;
  EncodeOptions options;
  MaskExamples fitted, held_out;
  OrderedJson provenance;  // "data", "files", "notes", "left_out", "n_text", "n_held_out", "seed"
};

// --reference as a layer: a number, "full" (the default without gold values) or "best" (with them):
// the layer with the best Spearman on the texts that masks are fitted on. Throws UsageError.
size_t reference_layer(const MaskFlags& flags, MaskBench& bench);

// Everything but the rule.
PolicyFile policy_for(const MaskFlags& flags, const MaskBench& bench);

// "block 3", "time mix 3", "channel mix 3", counted from 1.
std::string unit_name(const PruneUnit& unit);

}  // namespace fathom::cli
