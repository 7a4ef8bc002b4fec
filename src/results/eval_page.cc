// SPDX-License-Identifier: Apache-2.0
// report.html of `fathom eval`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "depth/layers.h"
#include "report/html.h"
#include "results/eval_report.h"
#include "results/eval_verdict.h"
#include "results/settings_rows.h"

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

// The model has look 0, a baseline the one of its place among the baselines: the same in all figures.
void add_baselines(const EvalResult& r, std::string_view metric, XyChart& chart) {
  for (size_t i = 0; i < r.baselines.size(); ++i)
    for (const MetricRow* row : of_metric(r, metric, r.baselines[i].system))
      chart.references.push_back(
          {label_of(r.baselines[i]), row->value, row->low, row->high, i + 1});
}

// "words-50d"; "word vectors" where there are none.
std::string words_of(const EvalResult& r) {
  const EvalBaseline* words = r.baseline("glove");
  return words ? label_of(*words) : "word vectors";
}

XyChart quality_by_depth(const EvalResult& r, const std::string& metric, const std::string& title) {
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
  XyChart chart = quality_by_depth(r, r.lead + "_minus_glove",
                                   metric_title(r.lead) + " minus that of " + words_of(r));
  chart.references.push_back({"no difference", 0, kMissing, kMissing, kNeutral});
  return chart;
}

BarChart cost_by_depth(const EvalResult& r) {
  BarChart chart;
  const std::string one = r.is_pair ? "a pair" : "a text";
  chart.title = "Measured time of " + one + " by depth";
  chart.x_title = "Layer";
  chart.y.title = "Time of " + one;
  chart.y.unit = "s";
  Series batch1{"one sentence at a time", {}, Mark::kLine, false};
  Series packed{
      "packed batches", {}, Mark::kLine, false, 5};  // the model, as look 0: a lighter blue
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
  chart.x.title = r.is_pair ? "Compute of a pair" : "Compute of a text";
  chart.x.unit = "FLOP";
  chart.y.title = metric_title(r.lead);
  chart.pareto_front = true;
  Series series{"RWKV", {}, Mark::kPoints, false};
  for (const CostRow& c : r.costs) {
    if (!c.layer) continue;
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
          {label_of(baseline), fmt::format("{:.4f}", row->value),
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
      glove && bag ? concat(", beside the means of word vectors (", words_of(r),
                            ") and of static token embeddings")
      : glove      ? concat(", beside the mean of word vectors (", words_of(r), ")")
      : bag        ? std::string(", beside the mean of static token embeddings")
                   : std::string());
}

std::string probe_lead(const EvalResult& r) {
  return fmt::format(
      "A linear probe at every depth of one RWKV model: classes of {} {} from embeddings whose "
      "model never saw the task. Intervals are 95 % bootstrap percentiles over them; the probes "
      "stay as they are.",
      r.n_pair, r.is_pair ? "pairs" : "texts");
}

// What is measured on what, for a caption.
std::string rows_of(const EvalResult& r) {
  return fmt::format("{} {} of {} {}", r.n_pair, r.is_pair ? "pairs" : "texts", r.title, r.split);
}

std::string quality_caption(const EvalResult& r) {
  return fmt::format(
      "{} on {}, {}, at every layer. Shaded: the 95 % interval of the model.{}",
      metric_title(r.lead), rows_of(r),
      r.probe ? "of a linear probe on the embeddings"
              : "of the cosine of two embeddings with the gold value",
      r.baselines.empty()
          ? ""
          : " Dashed: baselines, the same at every depth, each with its interval between two thin "
            "lines. Where intervals lie over each other, paired differences say more.");
}

bool is_timed(const EvalResult& r) {
  return std::ranges::any_of(r.costs, [](const CostRow& c) {
    return c.layer && (c.seconds_per_pair_batch1 || c.seconds_per_pair_packed);
  });
}

std::string summary_caption(const EvalResult& r) {
  return fmt::format(
      "Every layer{} on {}, with 95 % bootstrap intervals. In bold: the best {} on this very "
      "split, which is no choice to report. HF: the index in Hugging Face's hidden_states.{}{} "
      "GFLOP: arithmetic up to the layer, lower is better.{}",
      r.baselines.empty() ? "" : " and baseline", rows_of(r), metric_title(r.lead),
      r.baseline("glove") ? " vs and p: paired difference from the word vectors." : "",
      r.binary ? " Acc and F1: at thresholds chosen on train." : "",
      is_timed(r) ? " ms alone: time of one at a time; ms packed: in batches." : "");
}

void add_quality(const EvalResult& r, HtmlPage& page) {
  page.section("Quality");
  page.figure(quality_by_depth(r, r.lead, metric_title(r.lead)), quality_caption(r));
  if (r.baseline("glove"))
    page.figure(
        difference_by_depth(r),
        fmt::format("{} of the model less that of {}, on the same resamples of {}. Where the "
                    "shaded interval holds 0, they cannot be told apart.",
                    metric_title(r.lead), words_of(r), rows_of(r)));
  if (r.binary)
    page.figure(
        quality_by_depth(r, "accuracy", "Accuracy"),
        fmt::format("Share of {} that a threshold on the cosine decides rightly; the threshold "
                    "is the best one of the train split, for each layer and baseline. Shaded "
                    "and thin lines: 95 % intervals.",
                    rows_of(r)));
  page.table(without_empty_columns(summary_table(r)), summary_caption(r));
}

void add_cost(const EvalResult& r, HtmlPage& page) {
  const char* one = r.is_pair ? "a pair" : "a text";
  page.section("Cost");
  if (is_timed(r))
    page.figure(cost_by_depth(r),
                fmt::format("Seconds that {} takes up to each layer: median over repeats after a "
                            "warm-up, tokenising included, one at a time and in packed batches. "
                            "Lower is better.",
                            one));
  page.figure(
      quality_against_cost(r),
      fmt::format("{} on {} against the FLOPs of {} up to the layer, head left out. Up and "
                  "to the left is better. Filled points and the line: the Pareto front, "
                  "layers that no other beats at their cost or less. Bars: 95 % intervals. "
                  "{}",
                  metric_title(r.lead), rows_of(r), one,
                  r.baselines.empty() ? "" : "Dashed: baselines, which take next to no FLOPs."));
  page.table(cost_table(r),
             "What each layer and baseline costs. Times: median over repeats with quartiles, "
             "tokenising included. Peak: the most memory resident in a process of its own, which "
             "opens the model as far as the layer, or the baseline, and nothing else.");
}

}  // namespace

std::string to_html(const EvalResult& r) {
  HtmlPage page(fmt::format("{} {}: RWKV sentence embeddings by depth", r.title, r.split));
  page.lead(r.probe ? probe_lead(r) : cosine_lead(r));
  const auto is_warning = [&](const std::string& note) {
    return std::ranges::any_of(r.baselines, [&](const auto& b) { return b.warning == note; });
  };
  for (const EvalBaseline& baseline : r.baselines)
    if (baseline.warning) page.note(*baseline.warning);
  page.key_figures(key_figures(r));
  if (r.verdict) {
    std::string verdict;
    const std::vector<std::string> words = verdict_words(r);
    for (size_t i = 0; i + 1 < words.size(); ++i) verdict += (i ? " " : "") + words[i];
    page.note(verdict);
    page.command(verdict_command(r));
  }
  add_quality(r, page);
  add_cost(r, page);

  page.section("How it was made");
  for (const std::string& note : r.notes)
    if (!is_warning(note)) page.note(note);  // those stand at the top
  std::vector<std::pair<std::string, std::string>> settings = settings_rows(r.model, "model");
  for (auto& row : settings_rows(r.settings)) settings.push_back(std::move(row));
  page.settings(settings);
  page.command(r.command);
  page.table(rows_table({&r, 1}),
             "Every figure of every layer and baseline, one a row, as in results.csv.", true);
  page.data("results.json", dump_json(to_json(r), 1));
  page.footer(fmt::format("fathom {}", FATHOM_VERSION));
  return page.str();
}

}  // namespace fathom
