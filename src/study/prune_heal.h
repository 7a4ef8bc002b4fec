// SPDX-License-Identifier: Apache-2.0
// Tuning under a mask: the mask is exported, a model is tuned with it elsewhere
// (training/finetune.py --mask), and the tuned model is evaluated.
#pragma once

#include <filesystem>
#include <string>

#include "study/mask_corpus.h"

namespace fathom {

// The leading metric on the split that the task is reported on, by heads fitted anew on training
// rows for each: nothing was chosen on that split, and no system saw it.
struct HealedFigures {
  std::string metric, split;
  size_t n_train = 0, n_evaluated = 0;
  double whole = 0, masked = 0, healed = 0;  // the model, under the mask, the tuned one under it
};

// The tuned model of a folder: the folder itself, or the folder "model" in it.
std::filesystem::path healed_model(const std::filesystem::path& folder);

// corpus: of a single task. Throws Error: the tuned model has other dimensions, no split to report
// on; InvalidOption without a task.
HealedFigures judge_healed(MaskCorpus& corpus, const BlockMask& mask, OpenModel& healed);

// The mask for the tuned model, with the figures in `fitted`. from: the mask's own.
PolicyFile healed_file(const MaskCorpus& corpus, const BlockMask& mask, const OpenModel& healed,
                       const HealedFigures& figures, OrderedJson from);
OrderedJson to_json(const HealedFigures& figures);

}  // namespace fathom
