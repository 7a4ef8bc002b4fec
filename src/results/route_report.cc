// SPDX-License-Identifier: Apache-2.0
#include "results/route_report.h"

#include <fmt/format.h>

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
