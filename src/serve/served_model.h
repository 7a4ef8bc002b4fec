// SPDX-License-Identifier: Apache-2.0
// ServedModel: an open model with everything that a request may name: depth policies, prompts, the
// default reading, and a reranker.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "depth/policy_file.h"
#include "encode/encoder.h"
#include "encode/open_model.h"
#include "encode/reranker.h"
#include "model/block_cost.h"
#include "serve/options.h"

namespace fathom::serve {

// A depth policy by the name that requests give.
struct NamedPolicy {
  std::string name;
  DepthChoice choice;
  std::vector<std::string> classes;  // names; empty: none, or numbers
  // What /predict runs: the same policy, which returns the pooled vector that its head reads.
  // nullptr: it has no heads.
  std::unique_ptr<DepthPolicy> classifier;

  const EarlyExit* exit() const { return dynamic_cast<const EarlyExit*>(choice.policy.get()); }
  Reading reading() const { return choice.file ? choice.file->reading : Reading{}; }
};

struct Answer {
  std::string label;
  double score = 0;
};

// Immutable once open() is back, but for `open.work`, which the engine's thread has.
class ServedModel {
 public:
  // Throws as opening the model does; Error if the recommended reading or the options' cannot be
  // had. Policies and the reranker are added behind it.
  ServedModel(const NamedText& model, const ServeOptions& options,
              const std::function<void(const std::string&)>& note);

  // False if it was fitted to another model; throws Error for everything else.
  bool add_policy(const NamedText& policy);
  void set_reranker(const std::string& file, const ServeOptions& options);  // throws Error

  const NamedPolicy* find_policy(const std::string& name) const;
  // The probabilities (raw: logits) of all classes, the highest first; of a regression its value.
  // u, v: what the classifier returned for the text, or for both of a pair.
  std::vector<Answer> answers(const NamedPolicy& policy, const DepthTrace& trace,
                              std::span<const float> u, std::span<const float> v, bool raw) const;

  // Throws InvalidOption for a layer that the model does not have.
  std::vector<size_t> layers(const std::string& text) const;
  std::string name_of_layer(size_t layer) const;

  std::string name, path;
  OpenModel open;
  Reading reading;  // of requests that ask for none; one layer
  std::string why;  // this one
  std::vector<NamedPolicy> policies;
  std::vector<NamedText> prompts;  // the options', then the folder's
  std::optional<Reranker> reranker;
  CostModel cost;
  std::unique_ptr<Encoder> encoder;  // of `reading`
};

}  // namespace fathom::serve
