// SPDX-License-Identifier: Apache-2.0
#include "formats/wrapper_names.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace fathom {
namespace {

// Parts of a name that no model has.
constexpr std::string_view kWrapperParts[] = {"module",          "_orig_mod",
                                              "_forward_module", "_fsdp_wrapped_module",
                                              "_fpw_module",     "_checkpoint_wrapped_module"};
constexpr std::string_view kEmbeddings[] = {"emb.weight", "embeddings.weight", "token.weight"};
constexpr std::string_view kFirstBlocks[] = {"blocks.0.", "layers.0."};
// Prefixes that belong to a layout.
constexpr std::string_view kLayoutPrefixes[] = {"model.", "rwkv.", "rwkv7.", "reranker."};
// peft's: what is below may be adapters.
constexpr std::string_view kAdapterPrefix = "base_model.";

using Renamed = std::vector<std::pair<size_t, std::string>>;  // index of the tensor, new name

// True if every name is there once when `renamed` are given their new names.
bool stay_unique(const std::vector<Tensor>& tensors, const Renamed& renamed) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const Tensor& t : tensors) names.push_back(t.name);
  for (const auto& [i, name] : renamed) names[i] = name;
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

// Gives the new names, or says in a note why not.
void apply(std::vector<Tensor>& tensors, const Renamed& renamed, std::string_view what,
           std::vector<std::string>& notes) {
  if (renamed.empty()) return;
  if (!stay_unique(tensors, renamed)) {
    notes.push_back(
        concat("names with ", what, " stand beside the same without: kept as they are"));
    return;
  }
  const std::string from =
      renamed.size() == tensors.size() ? "all names" : concat(renamed.size(), " names");
  notes.push_back(concat("stripped ", what, " from ", from));
  for (const auto& [i, name] : renamed) tensors[i].name = name;
}

void strip_wrapper_parts(std::vector<Tensor>& tensors, std::vector<std::string>& notes) {
  Renamed renamed;
  std::set<std::string_view> found;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string_view name = tensors[i].name;
    std::string kept;
    for (size_t at = 0; at < name.size();) {
      const size_t end = std::min(name.find('.', at), name.size() - 1) + 1;
      const std::string_view part = name.substr(at, end - at);
      const auto wrapper =
          std::find_if(std::begin(kWrapperParts), std::end(kWrapperParts), [&](std::string_view w) {
            return part.size() == w.size() + 1 && part.starts_with(w) && part.back() == '.';
          });
      if (wrapper == std::end(kWrapperParts))
        kept += part;
      else
        found.insert(*wrapper);
      at = end;
    }
    if (kept.size() != name.size() && !kept.empty()) renamed.emplace_back(i, std::move(kept));
  }
  std::string what;
  for (std::string_view part : found) what += concat(what.empty() ? "'" : ", '", part, ".'");
  apply(tensors, renamed, what, notes);
}

std::string_view layout_prefix_at_end(std::string_view prefix) {
  for (std::string_view p : kLayoutPrefixes)
    if (prefix.ends_with(p) &&
        (prefix.size() == p.size() || prefix[prefix.size() - p.size() - 1] == '.'))
      return p;
  return {};
}

// What stands in front of a model's names, for each model in the file: the prefix of a table of
// embeddings that has blocks beside it, without what belongs to the layout.
std::set<std::string> model_prefixes(const std::vector<Tensor>& tensors) {
  std::vector<std::string_view> names;  // sorted
  names.reserve(tensors.size());
  for (const Tensor& t : tensors) names.push_back(t.name);
  std::sort(names.begin(), names.end());
  const auto any_begins = [&](const std::string& with) {
    const auto at = std::lower_bound(names.begin(), names.end(), with);
    return at != names.end() && at->starts_with(with);
  };
  std::set<std::string> prefixes;
  for (std::string_view name : names)
    for (std::string_view embedding : kEmbeddings) {
      if (!name.ends_with(embedding)) continue;
      const std::string root(name.substr(0, name.size() - embedding.size()));
      const bool has_blocks =
          std::any_of(std::begin(kFirstBlocks), std::end(kFirstBlocks),
                      [&](std::string_view block) { return any_begins(concat(root, block)); });
      if (!has_blocks || !(root.empty() || root.back() == '.')) continue;
      const std::string_view layout = layout_prefix_at_end(root);
      const bool all = names.front().starts_with(root) && names.back().starts_with(root);
      const bool whole = all && embedding == "emb.weight" && layout != "reranker.";
      prefixes.insert(root.substr(0, whole ? root.size() : root.size() - layout.size()));
    }
  return prefixes;
}

void strip_model_prefix(std::vector<Tensor>& tensors, std::vector<std::string>& notes) {
  const std::set<std::string> prefixes = model_prefixes(tensors);
  if (prefixes.empty() || prefixes.count("") > 0) return;
  if (prefixes.size() > 1) {
    notes.push_back(concat("several models, under '", *prefixes.begin(), "' and '",
                           *std::next(prefixes.begin()), "'"));
    return;
  }
  const std::string& prefix = *prefixes.begin();
  if (prefix.starts_with(kAdapterPrefix)) return;
  Renamed renamed;
  for (size_t i = 0; i < tensors.size(); ++i)
    if (tensors[i].name.size() > prefix.size() && tensors[i].name.starts_with(prefix))
      renamed.emplace_back(i, tensors[i].name.substr(prefix.size()));
  apply(tensors, renamed, concat("prefix '", prefix, "'"), notes);
}

}  // namespace

void strip_wrapper_names(std::vector<Tensor>& tensors, std::vector<std::string>& notes) {
  strip_wrapper_parts(tensors, notes);
  strip_model_prefix(tensors, notes);
}

}  // namespace fathom
