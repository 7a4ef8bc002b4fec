// SPDX-License-Identifier: Apache-2.0
#include "results/prune_report.h"

#include <fmt/format.h>

namespace fathom {

Table steps_table(const PruneResult& result) {
  const PruneMethod method = result.options.method;
  const bool iterates = method == PruneMethod::kCrossEntropy;
  const char* score = method == PruneMethod::kInfluence ? "Influence"
                      : method == PruneMethod::kAngular ? "Distance of range"
                      : method == PruneMethod::kGreedy  ? "Loss per saving"
                                                        : "Mean of elite";
  Table table({{.name = "step"},
               {.name = "removed", .title = iterates ? "Iteration" : "Removed"},
               {.name = "score", .title = score},
               {.name = "loss", .title = "Loss"},
               {.name = "flops_share", .title = "FLOPs left"}});
  size_t n = 0;
  for (const SearchStep& s : result.search.steps)
    table.add(
        {Cell(++n), s.unit ? Cell(unit_name(result.problem.units[*s.unit])) : Cell("best so far"),
         Cell(s.score, significant(4)), Cell(s.loss, significant(4)), Cell(s.share, fixed(4))});
  return table;
}

Table comparison_table(const PruneResult& result) {
  Table table({{.name = "mask", .title = "Mask"},
               {.name = "flops_share", .title = "FLOPs left"},
               {.name = "loss_fitted", .title = "Loss, fitted texts"},
               {.name = "loss", .title = "Loss, held-out texts"}});
  const auto add = [&](const char* name, const MaskLosses& l) {
    table.add({name, Cell(l.share, fixed(4)), Cell(l.fitted, significant(4)),
               Cell(l.held_out, significant(4))});
  };
  add("found", result.found);
  add("whole model", result.whole);
  add("last units removed", result.truncated);
  add("random, mean", result.random);
  return table;
}

std::string to_text(const PruneResult& result, const MaskCorpus& corpus,
                    const std::string& output) {
  std::string text;
  if (!result.search.steps.empty()) text += to_text(steps_table(result));
  text += to_text(comparison_table(result));
  text +=
      fmt::format("{} masks tried on {} texts, figures on {} others\n", result.search.n_evaluated,
                  corpus.fitted.texts.size(), corpus.held_out.texts.size());
  text += fmt::format(
      "random: {} masks with as many units of every kind removed; {} are worse than what was "
      "found, the best loses {:.4g}\n",
      PruneResult::kRandomMasks, result.n_random_worse, result.best_random);
  return text + fmt::format("{}: {}\n", output, pattern_of(result.search.mask));
}

std::string to_text(const HealedFigures& f) {
  return fmt::format(
      "{} on {} rows of {}, heads fitted anew on {}: whole model {:.4f}, under the mask {:.4f}, "
      "tuned under it {:.4f}\n",
      f.metric, f.n_evaluated, f.split, f.n_train, f.whole, f.masked, f.healed);
}

OrderedJson to_json(const PruneResult& result, const MaskCorpus& corpus,
                    const std::string& output) {
  OrderedJson j = corpus.provenance;
  j.update(summary_json(result));
  j["blocks"] = pattern_of(result.search.mask);
  j["steps"] = to_json(steps_table(result));
  j["output"] = output;
  return j;
}

}  // namespace fathom
