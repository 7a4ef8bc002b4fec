// SPDX-License-Identifier: Apache-2.0
#include "encode/layers.h"

#include <charconv>

#include "base/error.h"

namespace fathom {
namespace {

size_t parse_layer(std::string_view text, size_t n_layer) {
  if (text == "final") return final_layer(n_layer);
  size_t layer = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), layer);
  if (error != std::errc{} || end != text.data() + text.size() || layer > n_layer)
    throw UsageError(concat("--layers: expected 0 to ", n_layer, " or 'final', got '", text, "'"));
  return layer;
}

}  // namespace

std::vector<size_t> parse_layers(std::string_view text, size_t n_layer) {
  std::vector<size_t> layers;
  if (text == "all") {
    for (size_t i = 0; i <= final_layer(n_layer); ++i) layers.push_back(i);
    return layers;
  }
  for (;;) {
    const size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    if (const size_t dash = item.find('-'); dash != std::string_view::npos) {
      const size_t first = parse_layer(item.substr(0, dash), n_layer);
      const size_t last = parse_layer(item.substr(dash + 1), n_layer);
      if (first > last)
        throw UsageError(concat("--layers: expected a rising range, got '", item, "'"));
      for (size_t i = first; i <= last; ++i) layers.push_back(i);
    } else {
      layers.push_back(parse_layer(item, n_layer));
    }
    if (comma == std::string_view::npos) return layers;
    text.remove_prefix(comma + 1);
  }
}

std::string layer_name(size_t layer, size_t n_layer) {
  if (layer == policy_layer(n_layer)) return "policy";
  return layer == final_layer(n_layer) ? "final" : std::to_string(layer);
}

std::optional<size_t> hf_index(size_t layer, size_t n_layer, Version version) {
  if (layer == final_layer(n_layer)) return n_layer;
  if (layer == 0 || layer == policy_layer(n_layer)) return std::nullopt;
  if (version == Version::kV7) return layer < n_layer ? std::optional<size_t>(layer) : std::nullopt;
  return layer - 1;
}

}  // namespace fathom
