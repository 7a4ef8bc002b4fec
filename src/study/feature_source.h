// SPDX-License-Identifier: Apache-2.0
// A model that turns texts into vectors of all layers and caches them in files: the input of fit,
// sweep and advise.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/output_set.h"
#include "baseline/baseline.h"
#include "depth/policy_file.h"
#include "encode/open_model.h"
#include "study/feature_store.h"
#include "study/listener.h"

namespace fathom {

struct FeatureOptions {
  EncodeOptions encode = {};            // `layers` is ignored
  StoredType dtype = StoredType::kF32;  // of the files; or kBF16
  std::filesystem::path folder;  // of the files; made if missing, and removed again if nothing
                                 // came into it
};

// One caller at a time.
class FeatureSource {
 public:
  // The model and the listener must outlive it. Throws Error: the folder cannot be made;
  // UsageError: options that the model does not have.
  FeatureSource(OpenModel& open, FeatureOptions options, const Listener& listener);

  OpenModel& open() { return open_; }
  const Model& model() const { return open_.model; }
  size_t n_layer() const { return open_.model.config().n_layer; }
  ThreadPool& pool() { return open_.work.pool(); }
  const Encoder& encoder() const { return encoder_; }  // layers 0 .. L, final
  const Tokenizer& tokenizer() const { return open_.tokenizer(); }
  StoredType dtype() const { return options_.dtype; }  // of the files
  const Listener& listener() const { return listener_; }
  // Options of an encoder that runs under a policy, or at these layers.
  EncodeOptions options(std::vector<size_t> layers = {}) const;

  // What vectors of these texts depend on.
  OrderedJson key(std::span<const std::string_view> texts) const;
  // At all layers, from the files as far as they have them: a stage called `name`. Errors call the
  // texts by `place`.
  FeatureCache vectors(const std::string& name, std::span<const std::string_view> texts,
                       const TextPlace& place = {});
  // Of another encoder; `key` says what they are of.
  FeatureCache vectors(const std::string& name, std::span<const std::string_view> texts,
                       const Encoder& encoder, const OrderedJson& key, const TextPlace& place = {});

  // Of a baseline instead of the model: one layer. They are made anew each time.
  FeatureCache vectors(const Baseline& baseline, std::span<const std::string_view> texts) const;

  // For this model and these options, without a rule.
  PolicyFile policy_file(OrderedJson fitted) const;

 private:
  OpenModel& open_;
  const Listener& listener_;
  FeatureOptions options_;
  Encoder encoder_;
  MadeFolder made_;
  ModelFingerprint fingerprint_;
};

// What rows of these texts depend on, as this model reads them, layers left out. fingerprint: the
// model's.
OrderedJson reading_key(const OpenModel& open, const EncodeOptions& how,
                        const ModelFingerprint& fingerprint,
                        std::span<const std::string_view> texts);

}  // namespace fathom
