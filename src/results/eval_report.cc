// SPDX-License-Identifier: Apache-2.0
#include "results/eval_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/invalid_option.h"
#include "depth/layers.h"
#include "report/html.h"
#include "results/eval_verdict.h"
#include "study/estimate_json.h"

namespace fathom {
namespace {

// What a row of the summary is of: a layer of the model, or a baseline, which has none.
struct RowKey {
  std::string system;
  std::optional<size_t> layer;
  bool operator==(const RowKey&) const = default;
};

template <class Row>
RowKey key_of(const Row& row) {
  return {row.system, row.layer};
}

std::string title_of(const EvalResult& r, const RowKey& key) {
  if (key.layer) return layer_name(*key.layer, r.n_layer);
  // Whoever reads only the table must see it, too.
  const EvalBaseline* baseline = r.baseline(key.system);
  if (baseline && baseline->warning)
    return fmt::format("{}, {:.1f} % of words!", label_of(*baseline), 100 * *baseline->coverage);
  return baseline ? label_of(*baseline) : key.system;
}

OrderedJson layer_json(const EvalResult& r, std::optional<size_t> layer) {
  if (!layer) return nullptr;
  if (*layer > r.n_layer) return layer_name(*layer, r.n_layer);
  return *layer;
}

size_t resamples_of(const EvalResult& r) {
  const auto bootstrap = r.settings.is_object() ? r.settings.find("bootstrap") : r.settings.end();
  return bootstrap == r.settings.end() ? BootstrapOptions().n_resample
                                       : bootstrap->value("n_resample", size_t{1});
}

template <class T>
OrderedJson optional_json(const std::optional<T>& x) {
  return x ? OrderedJson(*x) : OrderedJson(nullptr);
}

std::optional<size_t> hf_of(const EvalResult& r, std::optional<size_t> layer) {
  return layer && r.has_hf_index ? hf_index(*layer, r.n_layer, r.version) : std::nullopt;
}

const MetricRow* find(const EvalResult& r, const RowKey& key, std::string_view metric) {
  for (const MetricRow& row : r.rows)
    if (key_of(row) == key && row.metric == metric) return &row;
  return nullptr;
}

const CostRow* cost_of(const EvalResult& r, const RowKey& key) {
  for (const CostRow& row : r.costs)
    if (key_of(row) == key) return &row;
  return nullptr;
}

// Layers in the order of the report, baselines last.
std::vector<RowKey> keys_of(const EvalResult& r) {
  std::vector<RowKey> keys;
  for (const MetricRow& row : r.rows)
    if (std::find(keys.begin(), keys.end(), key_of(row)) == keys.end()) keys.push_back(key_of(row));
  std::stable_partition(keys.begin(), keys.end(),
                        [](const RowKey& k) { return k.layer.has_value(); });
  return keys;
}

const MetricRow* best_of(const EvalResult& r) {
  const MetricRow* best = nullptr;
  for (const MetricRow& row : r.rows)
    if (row.layer && row.metric == r.lead && std::isfinite(row.value) &&
        (!best || row.value > best->value))
      best = &row;
  return best;
}

// Of binary tasks alone, in summary_table.
constexpr std::pair<const char*, const char*> kBinaryMetrics[] = {
    {"auc", "AUC"}, {"ap", "AP"}, {"accuracy", "Acc"}, {"f1", "F1"}};

// Metrics behind the leading one.
std::vector<std::string> others_of(const EvalResult& r) {
  if (!r.probe) return {"pearson"};
  return {r.metrics.begin() + 1, r.metrics.end()};
}

bool has_memory(const EvalResult& r) {
  return std::ranges::any_of(r.costs,
                             [](const CostRow& c) { return c.peak_rss_bytes.has_value(); });
}

bool is_single(const EvalResult& r) { return r.probe && !r.is_pair; }

// Of the column with differences from word vectors; a long name would push others off the terminal.
std::string versus(const EvalResult& r) {
  const EvalBaseline* words = r.baseline("glove");
  const std::string name = words ? label_of(*words) : "words";
  return concat("vs ", name.size() <= 12 ? name : "words");
}

std::vector<Column> summary_columns(const EvalResult& r, bool sets) {
  std::vector<Column> columns = {{.name = "layer", .title = "Layer", .align = Align::kRight},
                                 {.name = "hf_index", .title = "HF"},
                                 {.name = r.lead, .title = metric_title(r.lead) + " [95 %]"},
                                 {.name = "difference", .title = versus(r)},
                                 {.name = "p", .title = "p"}};
  for (const std::string& metric : others_of(r))
    columns.push_back({.name = metric, .title = metric_title(metric)});
  if (r.binary)
    for (const auto& [name, title] : kBinaryMetrics)
      columns.push_back({.name = name, .title = title});
  if (sets) columns.push_back({.name = "spearman_mean", .title = "Mean of sets"});
  const char* each = is_single(r) ? "text" : "pair";
  columns.push_back({.name = "gflop", .title = concat("GFLOP/", each)});
  columns.push_back({.name = "ms_batch1", .title = "ms alone"});
  columns.push_back({.name = "ms_packed", .title = "ms packed"});
  if (has_memory(r)) columns.push_back({.name = "peak_mb", .title = "Peak MB"});
  return columns;
}

Cell milliseconds(const std::optional<double>& seconds) {
  return seconds ? Cell(*seconds * 1e3, significant(3)) : Cell(missing);
}

Cell megabytes(const std::optional<uint64_t>& bytes) {
  return bytes ? Cell(static_cast<double>(*bytes) / 1e6, significant(3)) : Cell(missing);
}

Cell milliseconds(const std::optional<TimeSpread>& time) {
  if (!time) return missing;
  return Cell(time->median * 1e3, significant(3)).between(time->low * 1e3, time->high * 1e3);
}

template <class T>
Cell optional_cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell(missing);
}

std::optional<double> low_of(const std::optional<TimeSpread>& time) {
  return time ? std::optional(time->low) : std::nullopt;
}
std::optional<double> high_of(const std::optional<TimeSpread>& time) {
  return time ? std::optional(time->high) : std::nullopt;
}

// What a system costs, beside each of its figures.
std::vector<Cell> cost_cells(const CostRow* cost) {
  if (!cost) return std::vector<Cell>(9, missing);
  return {Cell(cost->flops_per_pair),
          Cell(cost->weight_bytes),
          optional_cell(cost->seconds_per_pair_batch1),
          optional_cell(low_of(cost->batch1_spread)),
          optional_cell(high_of(cost->batch1_spread)),
          optional_cell(cost->seconds_per_pair_packed),
          optional_cell(low_of(cost->packed_spread)),
          optional_cell(high_of(cost->packed_spread)),
          optional_cell(cost->peak_rss_bytes)};
}

std::vector<Cell> summary_row(const EvalResult& r, const RowKey& key, const MetricRow* best,
                              bool sets) {
  const auto value = [&](std::string_view metric) {
    const MetricRow* m = find(r, key, metric);
    return m ? Cell(m->value, fixed(4)) : Cell(missing);
  };
  const MetricRow* rho = find(r, key, r.lead);
  const MetricRow* difference = find(r, key, r.lead + "_minus_glove");
  const auto hf = hf_of(r, key.layer);
  std::vector<Cell> row = {
      title_of(r, key), hf ? Cell(*hf) : Cell(missing),
      rho ? Cell(rho->value, fixed(4)).between(rho->low, rho->high).emphasised(rho == best)
          : Cell(missing),
      difference ? Cell(difference->value, fixed(4)) : Cell(missing),
      difference && difference->p ? p_cell(*difference->p, resamples_of(r)) : Cell(missing)};
  for (const std::string& metric : others_of(r)) row.push_back(value(metric));
  if (r.binary)
    for (const auto& [name, title] : kBinaryMetrics) row.push_back(value(name));
  if (sets) row.push_back(value("spearman_mean"));
  const CostRow* cost = cost_of(r, key);
  row.push_back(cost ? Cell(cost->flops_per_pair / 1e9, significant(3)) : Cell(missing));
  row.push_back(cost ? milliseconds(cost->seconds_per_pair_batch1) : Cell(missing));
  row.push_back(cost ? milliseconds(cost->seconds_per_pair_packed) : Cell(missing));
  if (has_memory(r)) row.push_back(cost ? megabytes(cost->peak_rss_bytes) : Cell(missing));
  return row;
}

}  // namespace

Cell p_cell(double p, size_t n_resample) {
  // Two-sided counts are multiples of 2 / n_resample; rounded up to the digits that are shown.
  const double bound = std::ceil(2000.0 / static_cast<double>(n_resample) - 1e-9) / 1000;
  return Cell(p, fixed(3)).resolved_to(std::max(bound, 0.001));
}

OrderedJson to_json(const EvalResult& r) {
  OrderedJson j;
  j["command"] = r.command;
  j["fathom"] = FATHOM_VERSION;
  j["model"] = r.model;
  j["settings"] = r.settings;
  const EvalBaseline *glove = r.baseline("glove"), *bag = r.baseline("bag");
  j["glove"] = glove ? OrderedJson{{"file", glove->place}, {"coverage", *glove->coverage}}
                     : OrderedJson(nullptr);
  j["bag"] = bag ? OrderedJson{{"file", bag->place}} : OrderedJson(nullptr);
  j["layer_numbering"] = "0 = after ln0, i = after block i, final = ln_out of the last block";
  j["notes"] = r.notes;
  j["verdict"] = verdict_json(r);
  j["rows"] = OrderedJson::array();
  for (const MetricRow& row : r.rows) {
    const bool rwkv = row.layer.has_value();
    OrderedJson o{{"task", r.task},
                  {"split", r.split},
                  {"system", row.system},
                  {"layer", layer_json(r, row.layer)},
                  {"hf_index", optional_json(hf_of(r, row.layer))},
                  {"pooling", rwkv ? r.pooling : "mean"},
                  {"norm", rwkv ? OrderedJson(r.norm) : OrderedJson(nullptr)},
                  {"scan", rwkv ? OrderedJson(r.scan) : OrderedJson(nullptr)},
                  {"metric", row.metric},
                  {"value", json_of(row.value)},
                  {"low", json_of(row.low)},
                  {"high", json_of(row.high)},
                  {"n", r.n_pair}};
    if (row.p) o["p"] = json_of(*row.p);
    j["rows"].push_back(std::move(o));
  }
  j["cost"] = OrderedJson::array();
  for (const CostRow& c : r.costs)
    j["cost"].push_back({{"system", c.system},
                         {"layer", layer_json(r, c.layer)},
                         {"flops_per_pair", c.flops_per_pair},
                         {"weight_bytes", c.weight_bytes},
                         {"seconds_per_pair_batch1", optional_json(c.seconds_per_pair_batch1)},
                         {"seconds_per_pair_packed", optional_json(c.seconds_per_pair_packed)},
                         {"peak_rss_bytes", optional_json(c.peak_rss_bytes)},
                         {"peak_gpu_bytes", nullptr},
                         {"seconds_per_pair_batch1_q1", optional_json(low_of(c.batch1_spread))},
                         {"seconds_per_pair_batch1_q3", optional_json(high_of(c.batch1_spread))},
                         {"seconds_per_pair_packed_q1", optional_json(low_of(c.packed_spread))},
                         {"seconds_per_pair_packed_q3", optional_json(high_of(c.packed_spread))}});
  return j;
}

TableForm parse_table_form(const std::string& text) {
  if (text == "text") return TableForm::kText;
  if (text == "markdown") return TableForm::kMarkdown;
  if (text == "latex") return TableForm::kLatex;
  throw InvalidOption("table", "text, markdown or latex", concat("'", text, "'"));
}

std::string to_text(const EvalResult& r, TableForm form) {
  std::string text =
      fmt::format("{} {}: {} {}{}\n", r.title, r.split, r.n_pair, is_single(r) ? "texts" : "pairs",
                  r.binary ? fmt::format(", {} positive", r.n_positive) : std::string());
  const Table table = without_empty_columns(summary_table(r));
  text += form == TableForm::kMarkdown ? to_markdown(table)
          : form == TableForm::kLatex  ? to_latex(table)
                                       : to_text(table, 140);
  for (const EvalBaseline& baseline : r.baselines)
    if (baseline.coverage)
      text += fmt::format("{} coverage {:.3f}\n", label_of(baseline), *baseline.coverage);
  if (const std::string words = time_words(r); !words.empty()) text += words + '\n';
  for (const std::string& note : r.notes) text += note + '\n';
  for (const std::string& line : verdict_words(r)) text += line + '\n';
  return text;
}

Table rows_table(std::span<const EvalResult> reports) {
  Table t({{.name = "task"},
           {.name = "split"},
           {.name = "system"},
           {.name = "layer"},
           {.name = "hf_index"},
           {.name = "pooling"},
           {.name = "norm"},
           {.name = "scan"},
           {.name = "metric"},
           {.name = "value"},
           {.name = "low"},
           {.name = "high"},
           {.name = "n"},
           {.name = "p"},
           {.name = "flops_per_pair"},
           {.name = "weight_bytes"},
           {.name = "seconds_per_pair_batch1"},
           {.name = "seconds_per_pair_batch1_q1"},
           {.name = "seconds_per_pair_batch1_q3"},
           {.name = "seconds_per_pair_packed"},
           {.name = "seconds_per_pair_packed_q1"},
           {.name = "seconds_per_pair_packed_q3"},
           {.name = "peak_rss_bytes"}});
  for (const EvalResult& r : reports)
    for (const MetricRow& row : r.rows) {
      const bool rwkv = row.layer.has_value();
      const auto hf = hf_of(r, row.layer);
      std::vector<Cell> cells = {r.task,
                                 r.split,
                                 row.system,
                                 rwkv ? Cell(layer_name(*row.layer, r.n_layer)) : Cell(missing),
                                 hf ? Cell(*hf) : Cell(missing),
                                 rwkv ? r.pooling : "mean",
                                 rwkv ? Cell(r.norm) : Cell(missing),
                                 rwkv ? Cell(r.scan) : Cell(missing),
                                 row.metric,
                                 Cell(row.value),
                                 Cell(row.low),
                                 Cell(row.high),
                                 Cell(r.n_pair),
                                 row.p ? Cell(*row.p) : Cell(missing)};
      for (Cell& cell : cost_cells(cost_of(r, key_of(row)))) cells.push_back(std::move(cell));
      t.add(std::move(cells));
    }
  return t;
}

std::string time_words(const EvalResult& r) {
  double widest = 0;
  std::string where;
  for (const CostRow& c : r.costs)
    for (const auto& t : {c.batch1_spread, c.packed_spread})
      if (t && t->median > 0 && (t->high - t->low) / t->median >= widest) {
        widest = (t->high - t->low) / t->median;
        where = title_of(r, key_of(c));
      }
  if (where.empty()) return "";
  return fmt::format(
      "Times are medians; their quartiles (results.csv, report.html) lie at most {:.0f} % of the "
      "median apart ({}).",
      100 * widest, where);
}

Table cost_table(const EvalResult& r) {
  const char* each = is_single(r) ? "text" : "pair";
  Table t({{.name = "layer", .title = "Layer", .align = Align::kRight},
           {.name = "gflop", .title = concat("GFLOP/", each)},
           {.name = "weight_mb", .title = "Weights MB"},
           {.name = "ms_batch1", .title = concat("ms/", each, ", batch 1 [quartiles]")},
           {.name = "ms_packed", .title = concat("ms/", each, ", packed [quartiles]")},
           {.name = "peak_mb", .title = "Peak MB"}});
  for (const CostRow& c : r.costs)
    t.add({title_of(r, key_of(c)), Cell(c.flops_per_pair / 1e9, significant(3)),
           Cell(static_cast<double>(c.weight_bytes) / 1e6, significant(3)),
           milliseconds(c.batch1_spread), milliseconds(c.packed_spread),
           megabytes(c.peak_rss_bytes)});
  return t;
}

Table summary_table(const EvalResult& r) {
  const bool sets = std::any_of(r.rows.begin(), r.rows.end(),
                                [](const MetricRow& row) { return row.metric == "spearman_mean"; });
  Table t(summary_columns(r, sets));
  const MetricRow* best = best_of(r);
  bool after_layers = false;
  for (const RowKey& key : keys_of(r)) {
    if (!key.layer && !std::exchange(after_layers, true)) t.add_rule();
    t.add(summary_row(r, key, best, sets));
  }
  return t;
}

void expect_report(OutputSet& outputs, const std::filesystem::path& directory) {
  outputs.expect_in(directory, {"results.json", "results.csv", "report.html"});
}

void write_report(const EvalResult& report, const std::filesystem::path& directory,
                  OutputSet& outputs) {
  outputs.write(directory / "results.json", dump_json(to_json(report), 1) + "\n");
  outputs.write(directory / "results.csv", to_csv(rows_table({&report, 1})));
  outputs.write(directory / "report.html", to_html(report));
  outputs.commit();
}

}  // namespace fathom
