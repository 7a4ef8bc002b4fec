// SPDX-License-Identifier: Apache-2.0
#include "depth/layers.h"

#include <algorithm>

#include "base/error.h"
#include "base/invalid_option.h"
#include "base/list.h"
#include "base/parse_whole.h"

namespace fathom {
namespace {

// What a refusal needs to know.
struct Asked {
  std::string_view text, field;
  size_t n_layer;
};

[[noreturn]] void refuse(std::string_view item, const Asked& asked) {
  const std::string list = item == asked.text ? "" : concat(" in '", asked.text, "'");
  throw InvalidOption(
      std::string(asked.field),
      concat("0 to ", asked.n_layer, ", 'final' or a rising range such as 0-", asked.n_layer),
      concat("'", item, "'", list));
}

std::optional<size_t> parse_layer(std::string_view text, size_t n_layer) {
  if (text == "final") return final_layer(n_layer);
  const std::optional<size_t> layer = parse_whole(text);
  return layer && *layer <= n_layer ? layer : std::nullopt;
}

void add_item(std::string_view item, const Asked& asked, LayerList& list) {
  const size_t dash = item.find('-');
  const std::string_view from = item.substr(0, dash),
                         to = dash == std::string_view::npos ? from : item.substr(dash + 1);
  const std::optional<size_t> first = parse_layer(from, asked.n_layer),
                              last = parse_layer(to, asked.n_layer);
  if (!first || !last || *first > *last) refuse(item, asked);
  for (size_t layer = *first; layer <= *last; ++layer) {
    const bool again = std::ranges::find(list.layers, layer) != list.layers.end();
    if (!again)
      list.layers.push_back(layer);
    else if (std::ranges::find(list.repeated, layer) == list.repeated.end())
      list.repeated.push_back(layer);
  }
}

}  // namespace

LayerList parse_layer_list(std::string_view text, size_t n_layer, std::string_view field) {
  LayerList list;
  if (text == "all") {
    for (size_t i = 0; i <= final_layer(n_layer); ++i) list.layers.push_back(i);
    return list;
  }
  const Asked asked{text, field, n_layer};
  for (std::string_view item : split_commas(text)) add_item(item, asked, list);
  return list;
}

std::vector<size_t> parse_layers(std::string_view text, size_t n_layer, std::string_view field) {
  return parse_layer_list(text, n_layer, field).layers;
}

std::string layer_name(size_t layer, size_t n_layer) {
  if (layer == policy_layer(n_layer)) return "policy";
  return layer == final_layer(n_layer) ? "final" : std::to_string(layer);
}

std::optional<size_t> hf_index(size_t layer, size_t n_layer, Version version) {
  if (layer == final_layer(n_layer)) return n_layer;
  if (layer == 0 || layer == policy_layer(n_layer)) return std::nullopt;
  if (hidden_states_begin_with_embedding(version))
    return layer < n_layer ? std::optional<size_t>(layer) : std::nullopt;
  return layer - 1;
}

}  // namespace fathom
