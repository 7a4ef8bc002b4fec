// SPDX-License-Identifier: Apache-2.0
// report.html of `fathom eval`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "depth/layers.h"
#include "report/html.h"
#include "results/eval_report.h"
#include "results/eval_verdict.h"

namespace fathom {
namespace {

std::vector<const MetricRow*> of_metric(const EvalResult& r, std::string_view metric,
                                        std::string_view system = "rwkv") {
  std::vector<const MetricRow*> rows;
  for (const MetricRow& row : r.rows)
    if (row.metric == metric && row.system == system) rows.push_back(&row);
  return rows;
}

std::vector<std::string> categories(const EvalResult& r) {
  std::vector<std::string> names;
  for (const MetricRow* row : of_metric(r, r.lead))
    names.push_back(layer_name(*row->layer, r.n_layer));
  return names;
}

void add_baselines(const EvalResult& r, std::string_view metric, XyChart& chart) {
  for (const EvalBaseline& baseline : r.baselines)
    for (const MetricRow* row : of_metric(r, metric, baseline.system))
      chart.references.push_back({baseline.title, row->value, row->low, row->high});
}

XyChart quality_by_depth(const EvalResult& r, std::string metric, std::string title) {
  XyChart chart;
  chart.title = title + " by depth";
  chart.x.title = "Layer (0 = after ln0, final = ln_out of the last block)";
  chart.y.title = title;
  chart.categories = categories(r);
  Series series{"RWKV, " + r.pooling + " pooling", {}, Mark::kLine, false};
  for (const MetricRow* row : of_metric(r, metric))
    series.points.push_back({kMissing, row->value, row->low, row->high, {}});
  chart.series.push_back(std::move(series));
  add_baselines(r, metric, chart);
  return chart;
}

XyChart difference_by_depth(const EvalResult& r) {
  XyChart chart =
      quality_by_depth(r, r.lead + "_minus_glove", metric_title(r.lead) + " minus GloVe's");
  chart.references.push_back({"no difference", 0, kMissing, kMissing});
  return chart;
}

BarChart cost_by_depth(const EvalResult& r) {
  BarChart chart;
  chart.title = "Measured time of a pair by depth";
  chart.x_title = "Layer";
  chart.y.title = "Time of a pair";
  chart.y.unit = "s";
  Series batch1{"one sentence at a time", {}, Mark::kLine, false};
  Series packed{"packed batches", {}, Mark::kLine, false};
  for (const CostRow& c : r.costs) {
    if (!c.layer) continue;
    chart.categories.push_back(layer_name(*c.layer, r.n_layer));
    batch1.points.push_back(
        {kMissing, c.seconds_per_pair_batch1.value_or(kMissing), kMissing, kMissing, {}});
    packed.points.push_back(
        {kMissing, c.seconds_per_pair_packed.value_or(kMissing), kMissing, kMissing, {}});
  }
  chart.series = {std::move(batch1), std::move(packed)};
  return chart;
}

XyChart quality_against_cost(const EvalResult& r) {
  XyChart chart;
  chart.title = metric_title(r.lead) + " against compute";
  chart.x.title = "Compute of a pair";
  chart.x.unit = "FLOP";
  chart.y.title = metric_title(r.lead);
  chart.pareto_front = true;
  Series series{"RWKV", {}, Mark::kPoints, false};
  for (const CostRow& c : r.costs) {
    if (!c.layer || c.flops_per_pair <= 0) continue;
    for (const MetricRow* row : of_metric(r, r.lead))
      if (row->layer == c.layer)
        series.points.push_back(
            {c.flops_per_pair, row->value, row->low, row->high, layer_name(*c.layer, r.n_layer)});
  }
  chart.series.push_back(std::move(series));
  add_baselines(r, r.lead, chart);
  return chart;
}

std::vector<KeyFigure> key_figures(const EvalResult& r) {
  std::vector<KeyFigure> figures;
  if (r.verdict) {
    const LayerVerdict& v = *r.verdict;
    const auto figure = [&](const LayerFigure& f) {
      return fmt::format("{} {:.4f} [{:.4f}, {:.4f}]", metric_title(v.metric), f.value, f.low,
                         f.high);
    };
    figures.push_back({"Best layer", layer_name(v.best.layer, r.n_layer),
                       fmt::format("{}, chosen on {}", figure(v.best), v.chosen_on)});
    if (v.shallowest.layer != v.best.layer)
      figures.push_back({"Shallowest that is not worse", layer_name(v.shallowest.layer, r.n_layer),
                         fmt::format("{}, {:.0f} % of the FLOPs", figure(v.shallowest),
                                     100 * v.shallowest.flops_share)});
  }
  const auto final_rows = of_metric(r, r.lead);
  if (!final_rows.empty())
    figures.push_back({"Deepest layer", layer_name(*final_rows.back()->layer, r.n_layer),
                       fmt::format("{} {:.4f}", metric_title(r.lead), final_rows.back()->value)});
  for (const EvalBaseline& baseline : r.baselines)
    for (const MetricRow* row : of_metric(r, r.lead, baseline.system))
      figures.push_back(
          {baseline.title, fmt::format("{:.4f}", row->value),
           fmt::format("{} [{:.4f}, {:.4f}]{}", metric_title(r.lead), row->low, row->high,
                       baseline.coverage
                           ? fmt::format(", {:.1f} % of words known", 100 * *baseline.coverage)
                           : std::string())});
  figures.push_back({r.is_pair ? "Pairs" : "Texts", std::to_string(r.n_pair),
                     r.binary  ? fmt::format("{} positive", r.n_positive)
                     : r.probe ? std::string("labelled")
                               : std::string("graded")});
  return figures;
}

std::string cosine_lead(const EvalResult& r) {
  const bool glove = r.baseline("glove"), bag = r.baseline("bag");
  return fmt::format(
      "Cosine similarity of two sentence embeddings against the {} of {} pairs, at every depth of "
      "one RWKV model{}. Intervals are 95 % bootstrap percentiles over pairs.",
      r.binary ? "paraphrase label" : "graded similarity", r.n_pair,
      glove && bag ? ", beside the means of word vectors and of a bag of tokens"
      : glove      ? ", beside the mean of GloVe word vectors"
      : bag        ? ", beside the mean of a bag of tokens"
                   : "");
}

std::string probe_lead(const EvalResult& r) {
  return fmt::format(
      "A linear probe at every depth of one RWKV model: classes of {} {} from embeddings whose "
      "model never saw the task. Intervals are 95 % bootstrap percentiles over them; the probes "
      "stay as they are.",
      r.n_pair, r.is_pair ? "pairs" : "texts");
}

std::string text_of(const OrderedJson& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

}  // namespace

std::string to_html(const EvalResult& r) {
  const bool glove = r.baseline("glove");
  HtmlPage page(fmt::format("{} {}: RWKV sentence embeddings by depth", r.title, r.split));
  page.lead(r.probe ? probe_lead(r) : cosine_lead(r));
  const auto is_warning = [&](const std::string& note) {
    return std::ranges::any_of(r.baselines, [&](const auto& b) { return b.warning == note; });
  };
  for (const EvalBaseline& baseline : r.baselines)
    if (baseline.warning) page.note(*baseline.warning);
  page.key_figures(key_figures(r));
  for (const std::string& line : verdict_words(r)) page.note(line);

  page.section("Quality");
  page.figure(
      quality_by_depth(r, r.lead, metric_title(r.lead)),
      r.probe ? "Of a linear probe on the embeddings; the band is the 95 % interval."
              : "Spearman correlation of cosine and gold value; the band is the 95 % interval.");
  if (glove)
    page.figure(difference_by_depth(r),
                "Paired difference from GloVe: the same resamples of pairs for both systems.");
  if (r.binary)
    page.figure(quality_by_depth(r, "accuracy", "Accuracy"),
                "Accuracy at the threshold that is best on the train split.");
  page.table(summary_table(r),
             "All layers. HF: index in Hugging Face's hidden_states. Acc and F1 at thresholds "
             "chosen on train; the asterisk marks the best Spearman on this very split.");

  page.section("Cost");
  page.figure(cost_by_depth(r), "Median over repeats after a warm-up, tokenising included.");
  page.figure(quality_against_cost(r),
              "Analytic FLOPs of both sentences up to the layer, head left out; the line is the "
              "Pareto front.");
  page.table(cost_table(r),
             "What each layer and baseline costs. Times: median over repeats with quartiles, "
             "tokenising included. Peak: the most memory resident in a process of its own, which "
             "opens the model as far as the layer, or the baseline, and nothing else.");

  page.section("How it was made");
  for (const std::string& note : r.notes)
    if (!is_warning(note)) page.note(note);  // those stand at the top
  std::vector<std::pair<std::string, std::string>> settings;
  for (const auto& [key, value] : r.model.items())
    settings.emplace_back("model " + key, text_of(value));
  for (const auto& [key, value] : r.settings.items()) settings.emplace_back(key, text_of(value));
  page.settings(settings);
  page.command(r.command);
  page.table(rows_table({&r, 1}), "Every figure, as in results.csv.", true);
  page.data("results.json", dump_json(to_json(r), 1));
  page.footer(fmt::format("fathom {}", FATHOM_VERSION));
  return page.str();
}

}  // namespace fathom
