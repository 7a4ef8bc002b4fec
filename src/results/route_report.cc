// SPDX-License-Identifier: Apache-2.0
#include "results/route_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "study/rounding.h"

namespace fathom {

Table comparison_table(const RouteResult& result) {
  Table table({{.name = "mask", .title = "Held-out texts"},
               {.name = "flops_share", .title = "FLOPs left"},
               {.name = "loss", .title = "Loss"},
               {.name = "gain", .title = "Gain of routing over it"}});
  for (const RouteLine& line : result.lines) {
    const bool routed = &line == result.lines.data();
    table.add({line.title, Cell(line.flops_share, fixed(4)), Cell(line.loss, significant(4)),
               routed ? Cell(missing)
                      : Cell(line.gain.gain, significant(4))
                            .between(line.gain.interval.low, line.gain.interval.high)});
  }
  return table;
}

Table mask_table(const RouteResult& result) {
  Table table({{.name = "mask", .title = "Mask"},
               {.name = "n_text", .title = "Texts"},
               {.name = "loss_global", .title = "Loss, one mask"},
               {.name = "loss", .title = "Loss, own mask"},
               {.name = "n_routed", .title = "Held-out texts"},
               {.name = "blocks", .title = "Blocks"}});
  for (size_t m = 0; m < result.fit.rule.n_mask(); ++m)
    table.add({Cell(m), Cell(result.fit.clusters[m].n_text),
               Cell(result.fit.clusters[m].loss_global, significant(4)),
               Cell(result.fit.clusters[m].loss, significant(4)), Cell(result.losses.n_routed[m]),
               pattern_of(result.fit.rule.masks[m])});
  return table;
}

std::string to_text(const RouteResult& result, const MaskCorpus& corpus,
                    const std::string& output) {
  return to_text(mask_table(result), 100 + 3 * result.fit.global.mask.n_layer()) +
         to_text(comparison_table(result)) +
         fmt::format(
             "fitted on {} texts, figures on {} others, with 95 % bootstrap intervals; {} random "
             "masks\n{}\n",
             corpus.fitted.texts.size(), corpus.held_out.texts.size(), RouteResult::kRandomMasks,
             output);
}

Closing closing_of(const RouteResult& result, const MaskCorpus& corpus,
                   const CommandPlaces& places) {
  const RouteLine &routed = result.lines[0], &global = result.lines[1];
  const std::vector<BlockMask>& masks = result.fit.rule.masks;
  Closing closing;
  const auto warn = [&](std::string text) {
    if (!text.empty()) closing.warnings.push_back(std::move(text));
  };
  const bool all_equal = std::ranges::all_of(
      masks, [&](const BlockMask& mask) { return pattern_of(mask) == pattern_of(masks[0]); });
  if (all_equal && result.options.n_cluster > 1)  // clusters that found one mask are one
    warn(fmt::format(
        "WARNING: all {} masks are equal: the router changes nothing, one mask does the "
        "same (--global, or fathom prune)",
        result.options.n_cluster));
  else if (!(global.gain.interval.low > 0))
    warn(fmt::format("WARNING: {} held-out texts show no gain over one mask for all",
                     corpus.held_out.texts.size()));
  warn(warn_of_no_saving(routed.flops_share));
  warn(warn_of_few_rows(corpus.fitted.texts.size(), "texts"));
  closing.chosen = fmt::format("{} masks, one of them for every text by what it is at layer {}.",
                               masks.size(), result.options.layer);
  closing.effect = fmt::format(
      "On {} texts, not used for the choice: saves {:.1f} % of the FLOPs, loses {:.4g} (1 - cosine "
      "with layer {}); {:.4g} [{:.4g}, {:.4g}] less than one mask for all.",
      corpus.held_out.texts.size(), 100 * (1 - routed.flops_share), routed.loss, result.reference,
      without_rounding(global.gain.gain), without_rounding(global.gain.interval.low),
      without_rounding(global.gain.interval.high));
  closing.use = use_line(places, false, false);
  return closing;
}

OrderedJson to_json(const RouteResult& result, const MaskCorpus& corpus,
                    const std::string& output) {
  OrderedJson j = corpus.provenance;
  j["router"] = result.options.router == Router::kRidge ? "ridge" : "centroid";
  j["layer"] = result.options.layer;
  j.update(summary_json(result));
  j["output"] = output;
  return j;
}

}  // namespace fathom
