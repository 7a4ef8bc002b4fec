// SPDX-License-Identifier: Apache-2.0
#include "results/prune_report.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "study/rounding.h"

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
    table.add({Cell(++n),
               s.unit ? Cell(unit_name(result.problem.units[*s.unit])) : Cell("best so far"),
               Cell(s.score, significant(4)), Cell(without_rounding(s.loss), significant(4)),
               Cell(s.share, fixed(4))});
  return table;
}

Table comparison_table(const PruneResult& result) {
  Table table({{.name = "mask", .title = "Mask"},
               {.name = "flops_share", .title = "FLOPs left"},
               {.name = "loss_fitted", .title = "Loss, fitted texts"},
               {.name = "loss", .title = "Loss, held-out texts"}});
  const auto add = [&](const char* name, const MaskLosses& l) {
    table.add({name, Cell(l.share, fixed(4)), Cell(without_rounding(l.fitted), significant(4)),
               Cell(without_rounding(l.held_out), significant(4))});
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

Closing closing_of(const PruneResult& result, const MaskCorpus& corpus,
                   const CommandPlaces& places) {
  const MaskLosses &found = result.found, &whole = result.whole;
  const double loss = without_rounding(found.held_out - whole.held_out);
  Closing closing;
  const auto warn = [&](std::string text) {
    if (!text.empty()) closing.warnings.push_back(std::move(text));
  };
  warn(warn_of_no_saving(found.share));
  if (result.options.method != PruneMethod::kRandom && result.n_random_worse == 0)
    warn(
        fmt::format("WARNING: none of {} random masks of this size is worse on held-out texts: the "
                    "search found nothing",
                    PruneResult::kRandomMasks));
  warn(warn_of_few_rows(corpus.fitted.texts.size(), "texts"));
  const BlockMask& mask = result.search.mask;
  closing.chosen =
      fmt::format("{} of {} sublayers stay, by {}: {}.", mask.n_kept(), 2 * mask.n_layer(),
                  name_of(result.options.method), pattern_of(mask));
  closing.effect = fmt::format(
      "On {} texts, not used for the choice: saves {:.1f} % of the FLOPs, {} {:.4g} ({}: {:.4g}, "
      "whole model {:.4g}, random masks {:.4g}).",
      corpus.held_out.texts.size(), 100 * (1 - found.share), loss < 0 ? "gains" : "loses",
      std::abs(loss), name_of(result.options.objective), without_rounding(found.held_out),
      without_rounding(whole.held_out), without_rounding(result.random.held_out));
  closing.use = use_line(places, false, false);
  return closing;
}

Closing closing_of(const HealedFigures& f, const BlockMask& mask, double flops_share,
                   const CommandPlaces& places) {
  Closing closing;
  if (std::string warning = warn_of_no_saving(flops_share); !warning.empty())
    closing.warnings.push_back(std::move(warning));
  if (f.healed < f.masked)
    closing.warnings.push_back("WARNING: the tuned model is worse than the one it was tuned from");
  closing.chosen = fmt::format("{} of {} sublayers stay, and the model tuned under them: {}.",
                               mask.n_kept(), 2 * mask.n_layer(), pattern_of(mask));
  closing.effect = fmt::format(
      "On {} rows of {}, not used for tuning: saves {:.1f} % of the FLOPs, {} {:.4f}, whole model "
      "{:.4f}.",
      f.n_evaluated, f.split, 100 * (1 - flops_share), f.metric, f.healed, f.whole);
  closing.use = use_line(places, false, false);
  return closing;
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
