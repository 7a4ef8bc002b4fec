// SPDX-License-Identifier: Apache-2.0
// A model that turns texts into vectors of all layers, kept in files: what fit, sweep and advise
// begin with.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/output_set.h"
#include "cli/flags.h"
#include "cli/static_vectors.h"
#include "depth/policy_file.h"
#include "study/feature_store.h"

namespace fathom::cli {

struct FeatureFlags {
  ModelFlags model;
  EncodeFlags encode;
  std::string data, folder, dtype = "f32";

  void add_to(CLI::App& command);
  void check() const;  // what needs no model; throws UsageError
};

// Opens the model. One caller at a time.
class FeatureBench {
 public:
  // folder: of cached vectors, if the flags name none; made if missing, and removed again if
  // nothing came into it. Throws Error.
  FeatureBench(const FeatureFlags& flags, const std::filesystem::path& folder);

  OpenModel& open() { return open_; }
  const Model& model() const { return open_.model; }
  size_t n_layer() const { return open_.model.config().n_layer; }
  ThreadPool& pool() { return open_.work.pool(); }
  const Encoder& encoder() const { return encoder_; }  // layers 0 .. L, final
  const Tokenizer& tokenizer() const { return require_tokenizer(open_.vocabulary); }
  // Options of an encoder that runs under a policy, or at these layers.
  EncodeOptions options(std::vector<size_t> layers = {}) const;

  // What vectors of these texts depend on.
  OrderedJson key(std::span<const std::string_view> texts) const;
  // At all layers, from the cache as far as it has them. A bar on the terminal shows `name`; errors
  // call the texts by `place`.
  FeatureCache vectors(const std::string& name, std::span<const std::string_view> texts,
                       const TextPlace& place = {});
  // Of another encoder; `key` says what they are of.
  FeatureCache vectors(const std::string& name, std::span<const std::string_view> texts,
                       const Encoder& encoder, const OrderedJson& key, const TextPlace& place = {});

  // Of a baseline instead of the model: one layer. They are made anew each time.
  FeatureCache vectors(const StaticVectors& statics, std::span<const std::string_view> texts) const;

  // For this model and these options, without a rule.
  PolicyFile policy_file(OrderedJson fitted) const;

 private:
  const FeatureFlags& flags_;
  OpenModel open_;
  Encoder encoder_;
  std::filesystem::path folder_;
  MadeFolder made_;
  ModelFingerprint fingerprint_;
};

// 16 hexadecimal digits.
std::string hash_text(std::string_view text);

}  // namespace fathom::cli
