// SPDX-License-Identifier: Apache-2.0
#include "encode/plan.h"

#include <algorithm>

#include "base/invalid_option.h"
#include "depth/layers.h"
#include "encode/state_pooling.h"

namespace fathom {
namespace {

void check_policy(const Plan& plan, const Config& config) {
  const std::string depth = "`depth` " + plan.policy->name();
  if (!plan.reading.layers.empty())
    throw InvalidOption("layers",
                        concat("none beside ", depth, ", which chooses the layer itself"));
  if (plan.pools_state())
    throw InvalidOption("pooling", concat("a pooling of rows beside ", depth),
                        std::string(name_of(plan.reading.pooling)));
  if (plan.head)
    throw InvalidOption("head", concat("none beside ", depth), std::string(name_of(*plan.head)));
  if (plan.adaptive() && plan.reading.scan == Scan::kBoth)
    throw InvalidOption("scan", concat("another beside ", depth, ", which reads a text once"),
                        "both");
  FATHOM_ASSERT(!plan.policy->depth() || *plan.policy->depth() <= config.n_layer);
}

void check_layers(const Plan& plan, const Config& config) {
  const Reading& reading = plan.reading;
  const size_t n_layer = config.n_layer;
  if (reading.layers.empty()) throw InvalidOption("layers", "at least one layer");
  const bool of_state = plan.pools_state();
  for (size_t layer : reading.layers) {
    if (layer > final_layer(n_layer))
      throw UsageError(
          concat("layer ", layer, ": the model has layers 0 to ", n_layer, " and final"));
    if (of_state && (layer == 0 || layer > n_layer))
      throw InvalidOption(
          "layers",
          concat("1-", n_layer, " or some of them with `pooling` ", name_of(reading.pooling)), {},
          concat("layer ", layer_name(layer, n_layer), " has no state"));
  }
  if (of_state && reading.norm != Norm::kNone)
    throw InvalidOption(
        "norm", concat("none with `pooling` ", name_of(reading.pooling), ", which pools no rows"),
        std::string(name_of(reading.norm)));
  if (plan.head && (reading.pooling != Pooling::kEos || reading.layers.size() != 1 ||
                    reading.layers[0] != final_layer(n_layer)))
    throw InvalidOption("head", "`pooling` eos at `layers` final with it, and nothing else",
                        std::string(name_of(*plan.head)));
}

void check_eos(const Reading& reading, size_t n_vocab) {
  if (reading.pooling != Pooling::kEos || !reading.eos || *reading.eos < n_vocab) return;
  throw InvalidOption(
      "eos", "none or an id below it with `pooling` eos",
      concat(*reading.eos, *reading.eos == kEosToken ? ", which EmbeddingRWKV appends" : ""),
      concat("the model's n_vocab is ", n_vocab));
}

// The numbers of a vector behind the post-processing.
size_t check_post(const Plan& plan) {
  if (plan.post.empty()) return plan.pooled_size;
  if (plan.policy || plan.head)
    throw UsageError("post-processing: not with a depth policy or a task head");
  FATHOM_REQUIRE(plan.post.size() == plan.n_vector(), "post-processing: for ", plan.post.size(),
                 " layers, expected ", plan.n_vector());
  const size_t size = plan.pooled_size, dim = plan.post.front().out_dim(size);
  for (const Postprocess& post : plan.post)
    FATHOM_REQUIRE((post.is_identity() || post.mean.size() == size) && post.out_dim(size) == dim,
                   "post-processing: fitted to vectors of ", post.mean.size(), " numbers, not ",
                   size, ", or with another number of directions at another layer");
  return dim;
}

}  // namespace

Plan make_plan(const Model& model, Plan plan) {
  const Config& config = model.config();
  if (plan.policy)
    check_policy(plan, config);
  else
    check_layers(plan, config);
  check_eos(plan.reading, config.n_vocab);
  plan.taps = plan.reading.layers;
  if (plan.policy && plan.policy->depth()) plan.taps = {*plan.policy->depth()};
  plan.deepest = plan.adaptive() ? config.n_layer : 0;
  for (size_t layer : plan.taps)
    plan.deepest = std::max(plan.deepest, std::min(layer, config.n_layer));
  if (plan.deepest > model.n_block())
    throw UsageError(concat("layer ", plan.deepest, ": the model was opened with ", model.n_block(),
                            " of its ", config.n_layer, " blocks"));
  const size_t size = pooled_dim(plan.reading.pooling, config);
  plan.pooled_size = plan.policy ? plan.policy->dim(size) : size;
  plan.dim = check_post(plan);
  if (const std::optional<size_t> wanted = plan.reading.dimensions) {
    if (*wanted == 0 || *wanted > plan.dim)
      throw InvalidOption("dimensions", concat("1 to ", plan.dim, " for these vectors"),
                          std::to_string(*wanted));
    plan.dim = *wanted;
  }
  return plan;
}

}  // namespace fathom
