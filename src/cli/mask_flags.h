// SPDX-License-Identifier: Apache-2.0
// The flags that `fathom prune` and `fathom route` share.
#pragma once

#include <string>
#include <vector>

#include "cli/flags.h"
#include "cli/task_flags.h"
#include "results/closing.h"
#include "study/mask_corpus.h"

namespace fathom::cli {

struct MaskFlags {
  ModelFlags model;
  EncodeFlags encode;
  OwnTaskFlags own;
  std::string texts, field, data, output, unit = "sublayer", reference;
  std::vector<std::string> tasks;
  size_t sample = 256, held_out = 256, n_protected = 0;
  double keep = 0;      // 0: not given
  size_t n_remove = 0;  // 0: not given
  uint64_t seed = 1;
  bool json = false;
  bool searches = true;  // for a mask of a size

  void add_to(CLI::App& command);
  void make_own_task(const CLI::App& command);  // of --task-file; before check()
  // What needs no model; throws UsageError, or Error if there is no folder to write to.
  void check() const;
  MaskSources sources() const;
  MaskSize size() const;
  CommandPlaces places() const { return {model.model, output}; }
};

}  // namespace fathom::cli
