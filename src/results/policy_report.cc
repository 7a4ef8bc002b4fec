// SPDX-License-Identifier: Apache-2.0
#include "results/policy_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "report/table.h"
#include "results/settings_rows.h"

namespace fathom {
namespace {

std::string line(std::string_view label, const std::string& value) {
  return fmt::format("{:<10} {}\n", label, value);
}

std::string kept(const BlockMask& mask) {
  return fmt::format("{} of {} sublayers", mask.n_kept(), 2 * mask.n_layer());
}

std::string meaning_of(const ExitRule& r) {
  const MeasureTraits& m = traits_of(r.measure);
  std::string text(r.n_class == 1 && !m.meaning_of_values.empty() ? m.meaning_of_values
                                                                  : m.meaning);
  if (r.pair) text += m.meaning_of_pairs;
  if (m.needs_prototypes) text += fmt::format(" (alpha {})", r.alpha);
  return text;
}

std::string stop_rule(const ExitRule& r) {
  const MeasureTraits& m = traits_of(r.measure);
  if (!r.has_threshold())
    return fmt::format("at the first exit that agrees with the one before, {} times in a row",
                       r.streak);
  return fmt::format(
      "at the first exit where it is {} the threshold{}",
      m.compare == Compare::kAtLeast ? "at least" : "below",
      m.in_a_row && r.streak > 1 ? fmt::format(", {} exits in a row", r.streak) : "");
}

std::string show(const BlockMask& mask, const ModelFingerprint&) {
  std::string text;
  text += line("does", "runs " + kept(mask) + ", the same for every text");
  text += line("stops", fmt::format("after layer {}", mask.depth()));
  Table table({{.name = "block"}, {.name = "time mix"}, {.name = "channel mix"}});
  for (size_t l = 0; l < mask.n_layer(); ++l)
    table.add({Cell(l + 1), mask.time_mix[l] ? "runs" : "-", mask.channel_mix[l] ? "runs" : "-"});
  return text + to_text(table);
}

std::string show(const ExitRule& r, const ModelFingerprint& model) {
  std::string text;
  text +=
      line("decides", r.pair ? "for every pair of texts; both stop together" : "for every text");
  text += line("measure", concat(name_of(r.measure), ": ", meaning_of(r)));
  text += line("stops", concat(stop_rule(r), ", else after layer ", model.n_layer));
  if (r.n_class > 0)
    text += line("heads", r.n_class == 1
                              ? concat("regression on ", name_of(r.features))
                              : concat(r.n_class, " classes on ", name_of(r.features), " vectors"));
  const bool maps = std::ranges::any_of(r.maps, [](const auto& m) { return !m.empty(); });
  const bool post =
      std::ranges::any_of(r.post, [](const Postprocess& p) { return !p.is_identity(); });
  text += line("returns", concat(post ? "the post-processed vector" : "the pooled vector",
                                 maps ? concat(", mapped to the space of layer ", model.n_layer)
                                      : std::string(" of the layer where it stopped"),
                                 ": ", r.post.back().out_dim(model.d_model), " numbers"));
  Table table({{.name = "exit", .title = "layer"},
               {.name = "threshold"},
               {.name = "head"},
               {.name = "post-processing"},
               {.name = "map"}});
  const auto yes = [](bool is) { return is ? "yes" : "-"; };
  for (const ExitPoint& e : r.exits)
    table.add({Cell(e.layer),
               e.layer == model.n_layer ? Cell("always") : Cell(e.threshold, significant(6)),
               yes(r.n_class > 0), yes(!r.post[e.layer].is_identity()),
               yes(!r.maps[e.layer].empty())});
  return text + to_text(table);
}

std::string show(const RouteRule& r, const ModelFingerprint&) {
  std::string text;
  text += line("decides", fmt::format("for every text, at layer {}", r.layer));
  text += line("router", r.router == Router::kCentroid
                             ? "the mask of the nearest centroid"
                             : "the mask with the smallest loss predicted by ridge regression");
  text += line("reads", concat("the pooled vector", r.post.is_identity() ? "" : ", post-processed",
                               r.normalize ? ", scaled to length 1" : ""));
  Table table({{.name = "mask"},
               {.name = "kept", .title = "sublayers kept"},
               {.name = "blocks", .title = "blocks (T time mix, C channel mix)"}});
  for (size_t m = 0; m < r.n_mask(); ++m)
    table.add({Cell(m), kept(r.masks[m]), pattern_of(r.masks[m])});
  return text + to_text(table, 100 + 3 * r.masks[0].n_layer());
}

// "accuracy" of "accuracy_low" where both ends of the interval and the value are there.
std::string value_of_end(const OrderedJson& row, const std::string& key) {
  for (const char* end : {"_low", "_high"}) {
    if (!key.ends_with(end)) continue;
    std::string value = key.substr(0, key.size() - std::string_view(end).size());
    if (row.contains(value) && row.contains(value + "_low") && row.contains(value + "_high"))
      return value;
  }
  return "";
}

// A column a field that holds no more than a value; intervals stand behind their values, what names a
// row in front of all.
std::vector<Column> columns_of(const OrderedJson& row) {
  std::vector<Column> names, values;
  for (const auto& [key, value] : row.items()) {
    if (value.is_structured() || !value_of_end(row, key).empty()) continue;
    const bool is_name = key == "layer" || key == "mask" || key == "system" || key == "step";
    (is_name ? names : values).push_back({.name = key});
  }
  names.insert(names.end(), values.begin(), values.end());
  return names;
}

Cell figure_of(const OrderedJson& row, const std::string& key) {
  const auto at = row.find(key);
  if (at == row.end() || at->is_null()) return missing;
  if (at->is_number_integer()) return at->get<int64_t>();
  if (!at->is_number_float()) return setting_text(*at);
  Cell cell(at->get<double>(), significant(4));
  const auto low = row.find(key + "_low"), high = row.find(key + "_high");
  if (low == row.end() || high == row.end() || !low->is_number() || !high->is_number()) return cell;
  return std::move(cell).between(low->get<double>(), high->get<double>());
}

// Figures of layers, masks or steps.
std::string rows_text(const OrderedJson& rows) {
  std::vector<Column> columns = columns_of(rows.front());
  if (columns.empty()) return "";
  Table table(std::move(columns));
  for (const OrderedJson& row : rows) {
    std::vector<Cell> cells;
    for (const Column& column : table.columns()) cells.push_back(figure_of(row, column.name));
    table.add(std::move(cells));
  }
  return to_text(table, 120);
}

bool is_rows(const OrderedJson& value) {
  return value.is_array() && !value.empty() &&
         std::ranges::all_of(value, [](const OrderedJson& row) { return row.is_object(); });
}

// Anybody may have written it: any fields.
std::string fitted_text(const OrderedJson& fitted) {
  std::string text, tables;
  for (const auto& [key, value] : fitted.items()) {
    if (is_rows(value)) {
      tables += concat("\n", key, "\n", rows_text(value));
      continue;
    }
    OrderedJson one;
    one[key] = value;
    for (const auto& [name, words] : settings_rows(one))
      text += line("fitted", concat(name, ": ", words));
  }
  return text + tables;
}

}  // namespace

std::string to_text(const PolicyFile& file) {
  const Reading& reading = file.reading;
  const bool eos = reading.pooling == Pooling::kEos;
  std::string text = line(
      "policy", concat(file.kind(), ", for RWKV-", file.model.version, " of ", file.model.n_layer,
                       " layers of ", file.model.d_model, " (weights ", file.model.weights, ")"));
  text += line("vectors", concat(name_of(reading.pooling), " pooling",
                                 eos ? concat(" (eos ", token_name(reading.eos), ")") : "",
                                 ", norm ", name_of(reading.norm), ", bos ",
                                 token_name(reading.bos), ", scan ", name_of(reading.scan)));
  text += std::visit([&](const auto& rule) { return show(rule, file.model); }, file.rule);
  return text + fitted_text(file.fitted);
}

}  // namespace fathom
