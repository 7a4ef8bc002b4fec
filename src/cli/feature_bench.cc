// SPDX-License-Identifier: Apache-2.0
#include "cli/feature_bench.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "cli/progress.h"

namespace fathom::cli {
namespace {

EncodeOptions all_layers(EncodeFlags flags, const Config& config) {
  flags.layers = "all";
  return flags.options(config);
}

}  // namespace

void FeatureFlags::add_to(CLI::App& command) {
  model.add_to(command);
  command.add_option("--data", data,
                     "folder that holds glue/, sts/, senteval/, sick/ [$FATHOM_SHARED/data, "
                     "../shared/data]");
  encode.add_texts_to(command, "mean, last, max, weighted, eos");
  command.add_option("--features", folder,
                     "folder of cached vectors [features/ with or beside the output]");
  command.add_option("--feature-dtype", dtype, "of cached vectors: f32 or bf16")
      ->capture_default_str();
}

void FeatureFlags::check() const {
  if (dtype != "f32" && dtype != "bf16")
    throw UsageError(concat("--feature-dtype: expected f32 or bf16, got '", dtype, "'"));
  encode.check();
}

FeatureBench::FeatureBench(const FeatureFlags& flags, const std::filesystem::path& folder)
    : flags_(flags),
      open_(open_model(flags.model)),
      encoder_(open_.model, all_layers(flags.encode, open_.model.config())),
      folder_(flags.folder.empty() ? folder : std::filesystem::path(flags.folder)),
      made_(folder_),
      fingerprint_(fingerprint_of(open_.model)) {}

EncodeOptions FeatureBench::options(std::vector<size_t> layers) const {
  EncodeOptions options = encoder_.options();
  options.layers = std::move(layers);
  return options;
}

OrderedJson FeatureBench::key(std::span<const std::string_view> texts) const {
  std::string joined;
  for (std::string_view text : texts) joined.append(text).push_back('\0');
  OrderedJson key{{"model", fingerprint_.weights},
                  {"bytes", model().checkpoint().file_bytes()},
                  {"ln_eps", model().config().ln_eps},
                  {"ln_x_eps", model().config().ln_x_eps},
                  {"dtype", std::string(name_of(model().compute()))},
                  {"backend", std::string(model().backend().name())},
                  {"tokenizer", open_.vocabulary.source},
                  {"pooling", flags_.encode.pool},
                  {"norm", flags_.encode.norm},
                  {"bos", flags_.encode.bos},
                  {"scan", flags_.encode.scan},
                  {"texts", hash_text(joined)}};
  // Names that are no UTF-8 would look alike in JSON.
  if (!is_utf8(open_.vocabulary.source)) key["tokenizer_name"] = hash_text(open_.vocabulary.source);
  if (encoder_.options().pooling == Pooling::kEos)
    key["eos"] =
        encoder_.options().eos ? OrderedJson(*encoder_.options().eos) : OrderedJson("none");
  return key;
}

FeatureCache FeatureBench::vectors(const std::string& name, std::span<const std::string_view> texts,
                                   const TextPlace& place) {
  return vectors(name, texts, encoder_, key(texts), place);
}

FeatureCache FeatureBench::vectors(const std::string& name, std::span<const std::string_view> texts,
                                   const Encoder& encoder, const OrderedJson& key,
                                   const TextPlace& place) {
  const FeatureShape shape{encoder.n_vector(), texts.size(), encoder.dim(),
                           flags_.dtype == "bf16" ? StoredType::kBF16 : StoredType::kF32};
  const std::string text = dump_json(key);
  // Named by what it holds alone: tasks that share their texts share the file.
  FeatureCache cache(folder_ / concat(hash_text(text), ".features"), text, shape);
  Progress progress(name, texts.size());
  fill(
      cache, encoder, tokenizer(), texts, open_.work, [&](size_t done) { progress.at(done); },
      place);
  return cache;
}

FeatureCache FeatureBench::vectors(const StaticVectors& statics,
                                   std::span<const std::string_view> texts) const {
  std::vector<float> values(texts.size() * statics.dim);
  std::vector<uint32_t> n_token;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::span<float> mean = std::span(values).subspan(i * statics.dim, statics.dim);
    n_token.push_back(static_cast<uint32_t>(statics.embed(texts[i], mean)));
  }
  const OrderedJson key{{"static", statics.name},
                        {"values", hex_of(hash_of(std::as_bytes(std::span(values))))}};
  const std::string text = dump_json(key);
  FeatureCache cache(folder_ / concat(hash_text(text), ".features"), text,
                     {1, texts.size(), statics.dim});
  const size_t done = cache.n_done();
  if (!cache.complete())
    cache.append(std::span(values).subspan(done * statics.dim), std::span(n_token).subspan(done));
  return cache;
}

PolicyFile FeatureBench::policy_file(OrderedJson fitted) const {
  const EncodeOptions& options = encoder_.options();
  return {.model = fingerprint_,
          .pooling = options.pooling,
          .norm = options.norm,
          .bos = options.bos,
          .eos = options.eos,
          .scan = options.scan,
          .fitted = std::move(fitted),
          .rule = {}};
}

std::string hash_text(std::string_view text) {
  return hex_of(hash_of(std::as_bytes(std::span(text.data(), text.size()))));
}

}  // namespace fathom::cli
