// SPDX-License-Identifier: Apache-2.0
#include "results/preset_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "depth/layers.h"
#include "report/html.h"
#include "results/eval_verdict.h"
#include "results/settings_rows.h"
#include "study/estimate_json.h"

namespace fathom {
namespace {

// A row of the paper's table: its own figures, and where ours are found.
struct PaperRow {
  std::string title, system;
  PublishedFigures published;
  std::optional<size_t> ours, hugging_face;  // layers; a baseline has neither
};

std::vector<PaperRow> paper_rows(const PresetResult& r) {
  std::vector<PaperRow> rows;
  for (const EvalBaseline& b : r.validation.baselines)
    rows.push_back(
        {b.title, b.system, b.system == "glove" ? r.preset.glove : PublishedFigures(), {}, {}});
  for (const PresetLayers& one : r.layers)
    rows.push_back(
        {fmt::format("RWKV layer {}", one.number), "rwkv",
         one.number == r.preset.layers.front() ? r.preset.first_layer : PublishedFigures(),
         one.ours, one.hugging_face});
  const size_t last = final_layer(r.validation.n_layer);
  rows.push_back({"RWKV last layer", "rwkv", r.preset.last_layer, last, last});
  return rows;
}

bool is_baseline_row(const PaperRow& row) { return row.system != "rwkv"; }

const MetricRow* spearman_of(const EvalResult& r, const PaperRow& row,
                             std::optional<size_t> layer) {
  if (!is_baseline_row(row) && !layer) return nullptr;
  for (const MetricRow& m : r.rows)
    if (m.system == row.system && m.layer == layer && m.metric == "spearman") return &m;
  return nullptr;
}

Cell spearman_cell(const EvalResult& r, const PaperRow& row, std::optional<size_t> layer) {
  const MetricRow* m = spearman_of(r, row, layer);
  return m ? Cell(m->value, fixed(4)).between(m->low, m->high) : Cell(missing);
}

const CostRow* cost_of_row(const EvalResult& r, const PaperRow& row, std::optional<size_t> layer) {
  if (!is_baseline_row(row) && !layer) return nullptr;
  for (const CostRow& c : r.costs)
    if (c.system == row.system && c.layer == layer) return &c;
  return nullptr;
}

Cell published(const std::optional<double>& value, int digits) {
  return value ? Cell(*value, fixed(digits)) : Cell(missing);
}

// Seconds of a pair, or as many megabytes: of a layer, and with " / " of the same number in the other
// counting.
std::string both(const PresetResult& r, const PaperRow& row,
                 const std::function<std::string(const CostRow&)>& text) {
  const auto one = [&](std::optional<size_t> layer) {
    const CostRow* c = cost_of_row(r.validation, row, layer);
    return c ? text(*c) : std::string("-");
  };
  const std::string ours = one(row.ours), theirs = one(row.hugging_face);
  return is_baseline_row(row) || row.ours == row.hugging_face ? ours : ours + " / " + theirs;
}

std::string seconds_text(const std::optional<TimeSpread>& time) {
  return time ? fmt::format("{:.3g}", time->median) : "-";
}

std::string megabytes_text(const CostRow& cost) {
  return cost.peak_rss_bytes
             ? fmt::format("{:.0f}", static_cast<double>(*cost.peak_rss_bytes) / 1e6)
             : "-";
}

XyChart spearman_by_layer(const PresetResult& r) {
  XyChart chart;
  chart.title = "Spearman by the paper's layer numbers";
  chart.x.title = "Layer";
  chart.y.title = "Spearman, MRPC validation";
  Series ours{"layer i: after i blocks", {}, Mark::kLine, false},
      theirs{"hidden_states[i] of Hugging Face", {}, Mark::kLine, true},
      paper{r.preset.paper, {}, Mark::kPoints, false};
  for (const PaperRow& row : paper_rows(r)) {
    if (is_baseline_row(row) || row.title == "RWKV last layer") continue;
    chart.categories.push_back(row.title.substr(row.title.rfind(' ') + 1));
    const auto add = [&](Series& series, std::optional<size_t> layer) {
      const MetricRow* m = spearman_of(r.validation, row, layer);
      series.points.push_back(m ? Point{kMissing, m->value, m->low, m->high, {}} : Point{});
    };
    add(ours, row.ours);
    add(theirs, row.hugging_face);
    paper.points.push_back(
        {kMissing, row.published.spearman.value_or(kMissing), kMissing, kMissing, {}});
  }
  chart.series = {std::move(ours), std::move(theirs), std::move(paper)};
  for (const PaperRow& row : paper_rows(r))
    if (const MetricRow* m = spearman_of(r.validation, row, {}); m && is_baseline_row(row))
      chart.references.push_back({row.title, m->value, m->low, m->high});
  if (r.preset.glove.spearman)
    chart.references.push_back(
        {"GloVe in the paper", *r.preset.glove.spearman, kMissing, kMissing});
  return chart;
}

std::string sizes_of(const PresetResult& r) {
  return fmt::format(
      "MRPC: {} pairs of the train split (seed {}; {} positive) and the {} of validation ({} "
      "positive)",
      r.train.n_pair, r.seed, r.train.n_positive, r.validation.n_pair, r.validation.n_positive);
}

}  // namespace

Table preset_table(const PresetResult& r) {
  Table t({{.name = "system", .title = "System"},
           {.name = "paper_spearman", .title = "Paper: rho"},
           {.name = "train", .title = "Train: layer i [95 %]"},
           {.name = "train_hf", .title = "Train: hidden_states[i]"},
           {.name = "validation", .title = "Validation: layer i"},
           {.name = "validation_hf", .title = "Validation: hidden_states[i]"},
           {.name = "paper_seconds", .title = "Paper: s/item"},
           {.name = "seconds_batch1", .title = "s/pair, batch 1", .align = Align::kRight},
           {.name = "seconds_packed", .title = "s/pair, packed", .align = Align::kRight},
           {.name = "paper_mb", .title = "Paper: MB"},
           {.name = "peak_mb", .title = "Peak MB", .align = Align::kRight}});
  bool after_baselines = false;
  for (const PaperRow& row : paper_rows(r)) {
    if (!is_baseline_row(row) && !std::exchange(after_baselines, true)) t.add_rule();
    const bool same = is_baseline_row(row) || row.ours == row.hugging_face;
    const PublishedFigures& p = row.published;
    const auto hf = [&](const EvalResult& split) {
      return same ? Cell(missing) : spearman_cell(split, row, row.hugging_face);
    };
    t.add({row.title, published(p.spearman, 4), spearman_cell(r.train, row, row.ours), hf(r.train),
           spearman_cell(r.validation, row, row.ours), hf(r.validation), published(p.seconds, 4),
           both(r, row, [](const CostRow& c) { return seconds_text(c.batch1_spread); }),
           both(r, row, [](const CostRow& c) { return seconds_text(c.packed_spread); }),
           p.peak_bytes ? Cell(*p.peak_bytes / 1e6, fixed(0)) : Cell(missing),
           both(r, row, megabytes_text)});
  }
  return t;
}

std::vector<std::string> preset_notes(const PresetResult& r) {
  std::vector<std::string> notes = r.left_out;
  notes.push_back(
      "Two figures where there is a slash: layer i / hidden_states[i]. Without one both are the "
      "same layer. A dash: not printed in what could be read of the paper, or not of this model.");
  notes.push_back(
      "The paper's figures are of RWKV-6 1.6B and GloVe 6B 50d on a T4, its memory of the GPU, "
      "with "
      "the model resident while GloVe was measured. Here each system has a process of its own, "
      "and the memory is that of the process.");
  notes.push_back(
      "The paper leaves open: which 1,000 train pairs, whether layer 1 is hidden_states[1] or the "
      "block before, how GloVe's words were split and lower-cased, BOS, whether a time is of a "
      "pair "
      "or a sentence, and which layer the last one is.");
  return notes;
}

OrderedJson to_json(const PresetResult& r) {
  OrderedJson j = to_json(r.validation);
  const OrderedJson train = to_json(r.train);
  for (const OrderedJson& row : train["rows"]) j["rows"].push_back(row);
  OrderedJson layers = OrderedJson::array();
  for (const PresetLayers& one : r.layers) {
    const auto name = [&](const std::optional<size_t>& layer) {
      return layer ? OrderedJson(layer_name(*layer, r.validation.n_layer)) : OrderedJson(nullptr);
    };
    layers.push_back({{"number", one.number},
                      {"layer", name(one.ours)},
                      {"hidden_states", name(one.hugging_face)}});
  }
  const auto figures = [](const PublishedFigures& p) {
    const auto number = [](const std::optional<double>& x) {
      return x ? OrderedJson(*x) : OrderedJson(nullptr);
    };
    return OrderedJson{{"spearman", number(p.spearman)},
                       {"seconds", number(p.seconds)},
                       {"peak_bytes", number(p.peak_bytes)}};
  };
  j["preset"] = {{"name", r.preset.name},
                 {"paper", r.preset.paper},
                 {"train_sample", {{"n", r.train.n_pair}, {"seed", r.seed}}},
                 {"layers", std::move(layers)},
                 {"published",
                  {{"glove", figures(r.preset.glove)},
                   {"layer_1", figures(r.preset.first_layer)},
                   {"last_layer", figures(r.preset.last_layer)}}},
                 {"table", to_json(preset_table(r))},
                 {"notes", preset_notes(r)}};
  return j;
}

std::string to_text(const PresetResult& r, TableForm form) {
  std::string text = fmt::format("{}, {}\n", r.preset.paper, sizes_of(r));
  const Table table = preset_table(r);
  text += form == TableForm::kMarkdown ? to_markdown(table)
          : form == TableForm::kLatex  ? to_latex(table)
                                       : to_text(table, 140);
  for (const EvalBaseline& b : r.validation.baselines)
    if (b.coverage) text += fmt::format("{} coverage {:.3f}\n", b.title, *b.coverage);
  if (const std::string words = time_words(r.validation); !words.empty()) text += words + '\n';
  for (const std::string& note : r.validation.notes) text += note + '\n';
  for (const std::string& note : preset_notes(r)) text += note + '\n';
  for (const std::string& line : verdict_words(r.validation)) text += line + '\n';
  return text;
}

std::string to_html(const PresetResult& r) {
  HtmlPage page(
      fmt::format("{}, done again: layers of RWKV against GloVe on MRPC", r.preset.paper));
  page.lead(fmt::format(
      "Spearman of cosine and paraphrase label by depth, beside what the paper printed. {}. "
      "Intervals are 95 % bootstrap percentiles over pairs.",
      sizes_of(r)));
  for (const EvalBaseline& b : r.validation.baselines)
    if (b.warning) page.note(*b.warning);
  for (const std::string& note : preset_notes(r)) page.note(note);
  page.section("The paper's table");
  page.table(preset_table(r),
             "Spearman with intervals, seconds of a pair (medians), peak memory of a process that "
             "runs this system and no other. `layer i` is after i blocks, `hidden_states[i]` the "
             "same number in Hugging Face's counting.");
  page.figure(spearman_by_layer(r),
              "Validation, both ways of counting layers; the bands are 95 % intervals, the lines "
              "baselines. The point is the paper's.");
  page.section("All metrics");
  page.table(summary_table(r.validation), "Validation, every layer that was run.");
  page.table(cost_table(r.validation),
             "What each costs. Times: medians with quartiles over the repeats.");
  page.section("How it was made");
  for (const std::string& note : r.validation.notes) page.note(note);
  std::vector<std::pair<std::string, std::string>> settings =
      settings_rows(r.validation.model, "model");
  for (auto& row : settings_rows(r.validation.settings)) settings.push_back(std::move(row));
  page.settings(settings);
  page.command(r.validation.command);
  page.table(rows_table(std::array{r.validation, r.train}), "Every figure, as in results.csv.",
             true);
  page.data("results.json", dump_json(to_json(r), 1));
  page.footer(fmt::format("fathom {}", FATHOM_VERSION));
  return page.str();
}

void write_preset(const PresetResult& r, const std::filesystem::path& directory,
                  OutputSet& outputs) {
  outputs.write(directory / "results.json", dump_json(to_json(r), 1) + "\n");
  outputs.write(directory / "results.csv", to_csv(rows_table(std::array{r.validation, r.train})));
  outputs.write(directory / "report.html", to_html(r));
  outputs.commit();
}

}  // namespace fathom
