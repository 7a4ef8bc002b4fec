// SPDX-License-Identifier: Apache-2.0
#include "encode/describe.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"

namespace fathom {

OrderedJson describe(const Model& model) {
  const Config& c = model.config();
  OrderedJson j;
  j["path"] = model.checkpoint().files().front().string();
  j["version"] = std::string(name_of(c));
  j["layout"] = std::string(name_of(model.info().layout));
  j["n_layer"] = c.n_layer;
  j["d_model"] = c.d_model;
  j["n_parameter"] = model.info().n_parameter;
  j["stored_dtype"] = model.info().stored_dtype;
  j["ln_eps"] = c.ln_eps;
  j["ln_x_eps"] = c.ln_x_eps;
  j["dtype"] = std::string(name_of(model.compute()));
  j["backend"] = std::string(model.backend().name());
  describe_changes(model.info(), j);
  return j;
}

void describe_changes(const ModelInfo& info, OrderedJson& j) {
  for (const AdapterInfo& a : info.adapters)
    j["adapters"].push_back({{"path", a.source},
                             {"n_weight", a.n_weight},
                             {"rank", a.rank},
                             {"alpha", a.alpha},
                             {"factor", a.factor}});
  if (!info.adapter_not_merged.empty()) j["adapter_not_merged"] = info.adapter_not_merged;
  if (!info.ignored_by_user.empty())
    j["ignored_tensors"] = {{"patterns", info.ignore_patterns},
                            {"n_tensor", info.ignored_by_user.size()},
                            {"names", info.ignored_by_user}};
}

OrderedJson describe(const EncodeOptions& options, const Config& config) {
  OrderedJson layers = OrderedJson::array();
  for (size_t layer : options.layers) {
    if (layer == final_layer(config.n_layer))
      layers.push_back("final");
    else
      layers.push_back(layer);
  }
  OrderedJson j;
  j["layers"] = layers;
  j["layer_numbering"] = "0 = after ln0, i = after block i, final = ln_out of the last block";
  j["pooling"] = std::string(name_of(options.pooling));
  if (pools_state(options.pooling))
    j["state"] = state_meaning(options.pooling, config.state_layout());
  if (options.pooling == Pooling::kEos)
    j["eos"] = options.eos ? OrderedJson(*options.eos) : OrderedJson("none");
  if (options.head) j["head"] = std::string(name_of(*options.head));
  j["norm"] = std::string(name_of(options.norm));
  if (!options.post.empty()) j["post"] = true;
  j["normalize"] = options.normalize;
  j["bos"] = options.bos ? OrderedJson(*options.bos) : OrderedJson("none");
  j["scan"] = std::string(name_of(options.scan));
  return j;
}

OrderedJson describe(const DepthChoice& choice) {
  OrderedJson j;
  j["policy"] = choice.policy ? choice.policy->name() : "full";
  if (choice.policy) j["by_pair"] = choice.policy->by_pair();
  if (choice.file) j["fitted"] = choice.file->fitted;
  return j;
}

void ExitCounts::add(std::span<const DepthTrace> trace) {
  for (const DepthTrace& t : trace) {
    if (by_layer.size() <= t.exit_layer) by_layer.resize(t.exit_layer + 1);
    ++by_layer[t.exit_layer];
    n_sublayer += t.n_sublayer();
  }
  n_text += trace.size();
}

OrderedJson summarise(const ExitCounts& exits, size_t n_layer) {
  FATHOM_ASSERT(exits.by_layer.size() <= n_layer + 1);
  double layers = 0;
  OrderedJson by_layer = OrderedJson::object();
  for (size_t l = 0; l < exits.by_layer.size(); ++l) {
    layers += static_cast<double>(l * exits.by_layer[l]);
    if (exits.by_layer[l] > 0) by_layer[std::to_string(l)] = exits.by_layer[l];
  }
  const double n = static_cast<double>(std::max<size_t>(exits.n_text, 1));
  return {{"n_text", exits.n_text},
          {"mean_exit_layer", layers / n},
          {"texts_by_exit_layer", by_layer},
          {"share_of_halves",
           static_cast<double>(exits.n_sublayer) / n / (2 * static_cast<double>(n_layer))}};
}

OrderedJson summarise(std::span<const DepthTrace> trace, size_t n_layer) {
  ExitCounts exits;
  exits.add(trace);
  return summarise(exits, n_layer);
}

}  // namespace fathom
