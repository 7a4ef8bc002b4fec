// SPDX-License-Identifier: Apache-2.0
#include "results/eval_verdict.h"

#include <fmt/format.h>

#include "base/file_title.h"
#include "depth/layers.h"
#include "encode/recommended.h"
#include "study/estimate_json.h"

namespace fathom {
namespace {

std::string layer_of(const EvalResult& r, const LayerFigure& figure) {
  return layer_name(figure.layer, r.n_layer);
}

std::string value_of(const LayerFigure& figure) {
  return fmt::format("{:.4f} [{:.4f}, {:.4f}]", figure.value, figure.low, figure.high);
}

std::string shallow_words(const EvalResult& r, const LayerVerdict& v) {
  const char* rows = r.probe ? "rows" : "pairs";
  if (v.n_compared == 0) return "No shallower layer was looked at.";
  if (v.shallowest.layer == v.best.layer)
    return fmt::format("Every shallower layer is worse (paired bootstrap, {} layers looked at).",
                       v.n_compared);
  return fmt::format(
      "Layer {} is the shallowest that is not worse, as far as {} {} can tell: {} differs by "
      "{:+.4f} "
      "[{:+.4f}, {:+.4f}] (paired bootstrap, corrected for {} layers looked at).",
      layer_of(r, v.shallowest), r.n_pair, rows, metric_title(v.metric), v.difference, v.low,
      v.high, v.n_compared);
}

std::string quoted(const std::string& argument) {
  return argument.find_first_of(" '\"$\\") == std::string::npos ? argument : "'" + argument + "'";
}

OrderedJson figure_json(const EvalResult& r, const LayerFigure& f) {
  return {{"layer", layer_of(r, f)},
          {"value", json_of(f.value)},
          {"low", json_of(f.low)},
          {"high", json_of(f.high)},
          {"flops_share", json_of(f.flops_share)}};
}

}  // namespace

std::string label_of(const EvalBaseline& baseline) {
  const bool words = baseline.system == "glove" || baseline.system.starts_with("glove-");
  const std::string file = words ? file_title(baseline.place) : std::string();
  return file.empty() ? baseline.title : file;
}

std::string metric_title(std::string_view metric) {
  if (metric == "f1") return "F1";
  if (metric == "auc" || metric == "ap") return metric == "ap" ? "AP" : "AUC";
  std::string title(metric);
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z')
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
  return title;
}

std::string verdict_command(const EvalResult& r) {
  if (!r.verdict) return "";
  std::string command = fmt::format("fathom embed {} -i texts.txt -o vectors.npy --layers {}",
                                    quoted(r.model_argument), layer_of(r, r.verdict->shallowest));
  if (r.pooling != "mean") command += " --pool " + r.pooling;
  if (r.norm != "none") command += " --norm " + r.norm;
  if (r.scan != "forward") command += " --scan " + r.scan;
  return command;
}

std::vector<std::string> verdict_words(const EvalResult& r) {
  if (!r.verdict) return {};
  const LayerVerdict& v = *r.verdict;
  std::vector<std::string> words;
  words.push_back(fmt::format(
      "Best layer: {}, {} {}{}; layer {} has {:.4f}. Chosen on {}", layer_of(r, v.best),
      metric_title(v.metric), value_of(v.best), r.probe ? " by a linear probe" : "",
      layer_of(r, v.deepest), v.deepest.value,
      v.on_evaluated ? "the very rows that the figures are of: expect a little less on other texts."
                     : v.chosen_on + "."));
  words.push_back(shallow_words(r, v));
  words.push_back(fmt::format("It takes {:.0f} % of the FLOPs of layer {} and saves {:.0f} %.",
                              100 * v.shallowest.flops_share, layer_of(r, v.deepest),
                              100 * (1 - v.shallowest.flops_share)));
  words.push_back("Use it: " + verdict_command(r));
  return words;
}

OrderedJson verdict_json(const EvalResult& r) {
  if (!r.verdict) return nullptr;
  const LayerVerdict& v = *r.verdict;
  return {{"metric", v.metric},
          {"chosen_on", v.chosen_on},
          {"chosen_on_evaluated_rows", v.on_evaluated},
          {"best", figure_json(r, v.best)},
          {"shallowest_not_worse", figure_json(r, v.shallowest)},
          {"deepest", figure_json(r, v.deepest)},
          {"difference",
           {{"value", json_of(v.difference)}, {"low", json_of(v.low)}, {"high", json_of(v.high)}}},
          {"n_compared", v.n_compared},
          {"command", verdict_command(r)}};
}

OrderedJson recommendation_json(const EvalResult& r, const EncodeOptions& how) {
  const LayerVerdict& v = *r.verdict;
  return recommendation_json(
      layer_of(r, v.best), how,
      fmt::format("{} {}: {} {}, layer {} has {:.4f}", r.title, r.split, metric_title(v.metric),
                  value_of(v.best), layer_of(r, v.deepest), v.deepest.value));
}

}  // namespace fathom
