// SPDX-License-Identifier: Apache-2.0
#include "study/feature_source.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/utf8.h"

namespace fathom {
namespace {

EncodeOptions at_all_layers(EncodeOptions options, const Config& config) {
  options.layers.clear();
  for (size_t layer = 0; layer <= final_layer(config.n_layer); ++layer)
    options.layers.push_back(layer);
  return options;
}

}  // namespace

FeatureSource::FeatureSource(OpenModel& open, FeatureOptions options, const Listener& listener)
    : open_(open),
      listener_(listener),
      options_(std::move(options)),
      encoder_(open.model, at_all_layers(options_.encode, open.model.config())),
      made_(options_.folder),
      fingerprint_(fingerprint_of(open.model)) {}

EncodeOptions FeatureSource::options(std::vector<size_t> layers) const {
  EncodeOptions options = encoder_.options();
  options.layers = std::move(layers);
  return options;
}

OrderedJson FeatureSource::key(std::span<const std::string_view> texts) const {
  return reading_key(open_, encoder_.options(), fingerprint_, texts);
}

OrderedJson reading_key(const OpenModel& open, const EncodeOptions& how,
                        const ModelFingerprint& fingerprint,
                        std::span<const std::string_view> texts) {
  std::string joined;
  for (std::string_view text : texts) joined.append(text).push_back('\0');
  const Model& model = open.model;
  OrderedJson key{{"model", fingerprint.weights},
                  {"bytes", model.checkpoint().file_bytes()},
                  {"ln_eps", model.config().ln_eps},
                  {"ln_x_eps", model.config().ln_x_eps},
                  {"dtype", std::string(name_of(model.compute()))},
                  {"backend", std::string(model.backend().name())},
                  {"tokenizer", open.vocabulary.source},
                  {"pooling", std::string(name_of(how.pooling))},
                  {"norm", std::string(name_of(how.norm))},
                  {"bos", token_name(how.bos)},
                  {"scan", std::string(name_of(how.scan))},
                  {"texts", hash_text(joined)}};
  // Names that are no UTF-8 would look alike in JSON.
  if (!is_utf8(open.vocabulary.source)) key["tokenizer_name"] = hash_text(open.vocabulary.source);
  if (how.pooling == Pooling::kEos)
    key["eos"] = how.eos ? OrderedJson(*how.eos) : OrderedJson("none");
  return key;
}

FeatureCache FeatureSource::vectors(const std::string& name,
                                    std::span<const std::string_view> texts,
                                    const TextPlace& place) {
  return vectors(name, texts, encoder_, key(texts), place);
}

FeatureCache FeatureSource::vectors(const std::string& name,
                                    std::span<const std::string_view> texts, const Encoder& encoder,
                                    const OrderedJson& key, const TextPlace& place) {
  const FeatureShape shape{encoder.n_vector(), texts.size(), encoder.dim(), options_.dtype};
  const std::string text = dump_json(key);
  // Named by what it holds alone: tasks that share their texts share the file.
  FeatureCache cache(options_.folder / concat(hash_text(text), ".features"), text, shape);
  Stage stage(listener_, name, texts.size());
  fill(
      cache, encoder, tokenizer(), texts, open_.work, [&](size_t done) { stage.at(done); }, place);
  return cache;
}

FeatureCache FeatureSource::vectors(const Baseline& baseline,
                                    std::span<const std::string_view> texts) const {
  std::vector<float> values(texts.size() * baseline.dim());
  std::vector<uint32_t> n_token;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::span<float> mean = std::span(values).subspan(i * baseline.dim(), baseline.dim());
    n_token.push_back(static_cast<uint32_t>(baseline.embed(texts[i], mean).known));
  }
  const OrderedJson key{{"static", baseline.name()},
                        {"values", hex_of(hash_of(std::as_bytes(std::span(values))))}};
  const std::string text = dump_json(key);
  FeatureCache cache(options_.folder / concat(hash_text(text), ".features"), text,
                     {1, texts.size(), baseline.dim()});
  const size_t done = cache.n_done();
  if (!cache.complete())
    cache.append(std::span(values).subspan(done * baseline.dim()),
                 std::span(n_token).subspan(done));
  return cache;
}

PolicyFile FeatureSource::policy_file(OrderedJson fitted) const {
  PolicyFile file{.model = fingerprint_, .fitted = std::move(fitted), .rule = {}};
  file.reading.pool_as(encoder_.options());
  return file;
}

}  // namespace fathom
