// SPDX-License-Identifier: Apache-2.0
#include "serve/served_model.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "base/invalid_option.h"
#include "base/parse_whole.h"
#include "encode/recommended.h"
#include "probe/features.h"
#include "serve/prompts.h"

namespace fathom::serve {
namespace {

std::optional<Compute> compute_of(const std::string& dtype) {
  if (dtype == "auto") return std::nullopt;
  for (Compute c : {Compute::kF32, Compute::kBF16, Compute::kInt8})
    if (dtype == name_of(c)) return c;
  throw InvalidOption("dtype", "auto, f32, bf16 or int8", concat("'", dtype, "'"));
}

ModelOptions model_options(const ServeOptions& options) {
  ModelOptions o;
  o.compute = compute_of(options.dtype);
  o.n_thread = options.threads;
  o.cache.folder = options.cache;
  return o;
}

OpenOptions open_options(const std::string& path, const ServeOptions& options) {
  OpenOptions open{.model = path, .backend = options.backend, .options = model_options(options)};
  if (!options.vocab.empty()) open.vocab = options.vocab;
  return open;
}

std::optional<Token> bos_of(const std::string& text) {
  if (text == "none") return std::nullopt;
  return static_cast<Token>(parse_whole(text).value_or(0));
}

// The options' reading over the folder's recommendation.
Reading reading_for(const ServeOptions& options, const ServedModel& model, std::string& why) {
  Reading r;
  std::string layer = "final";
  why = "the default";
  if (const auto found = recommended_reading(model.path); found && options.layer.empty()) {
    layer = found->layers;
    r.pooling = parse_pooling(found->pool);
    r.norm = parse_norm(found->norm);
    r.scan = parse_scan(found->scan);
    r.bos = bos_of(found->bos);
    why = concat("recommended by ", found->file);
  }
  if (!options.layer.empty()) layer = options.layer;
  if (!options.pooling.empty()) r.pooling = parse_pooling(options.pooling);
  if (!options.norm.empty()) r.norm = parse_norm(options.norm);
  if (!(options.layer + options.pooling + options.norm).empty()) why = "as the server was told";
  r.layers = model.layers(layer);
  if (r.layers.size() != 1) throw InvalidOption("layer", "one layer", concat("'", layer, "'"));
  r.normalize = true;
  return r;
}

// A policy that takes the steps of another, and returns what its head reads.
class PooledAnswer final : public DepthPolicy {
 public:
  explicit PooledAnswer(const DepthPolicy& policy) : policy_(policy) {}
  std::string name() const override { return policy_.name(); }
  bool by_pair() const override { return policy_.by_pair(); }
  bool reads_pooled(size_t layer) const override { return policy_.reads_pooled(layer); }
  size_t scratch() const override { return policy_.scratch(); }
  void decide(const Boundary& at, std::span<Step> steps) const override {
    policy_.decide(at, steps);
  }
  double decision_flops(size_t layer, size_t d_model) const override {
    return policy_.decision_flops(layer, d_model);
  }

 private:
  const DepthPolicy& policy_;
};

// The server's own options come first.
std::vector<NamedText> prompts_for(const ServeOptions& options, const std::string& path) {
  std::vector<NamedText> all = options.prompts;
  for (NamedText& own : prompts_of_folder(path))
    if (std::ranges::find(all, own.first, &NamedText::first) == all.end())
      all.push_back(std::move(own));
  return all;
}

std::vector<float> processed_by(const Postprocess& post, std::span<const float> e) {
  std::vector<float> out(post.out_dim(e.size()));
  post.apply(e, out);
  return out;
}

}  // namespace

ServedModel::ServedModel(const NamedText& model, const ServeOptions& options,
                         const std::function<void(const std::string&)>& note)
    : name(model.first),
      path(model.second),
      open(open_options(model.second, options), note),
      prompts(prompts_for(options, model.second)),
      cost(cost_model(open.model.config())) {
  reading = reading_for(options, *this, why);
  EncodeOptions how;
  static_cast<Reading&>(how) = reading;
  how.batch_tokens = options.batch_tokens;
  encoder = std::make_unique<Encoder>(open.model, std::move(how));
}

bool ServedModel::add_policy(const NamedText& policy) {
  if (policy.second == "full")
    throw InvalidOption("policy", "a file or fixed:L", "'full', which needs no policy");
  NamedPolicy p{.name = policy.first, .choice = {}, .classes = {}, .classifier = nullptr};
  if (!policy.second.starts_with("fixed:")) {
    // open_depth() would say for which model the file is: with several, another one may be meant.
    const size_t colon = policy.second.find(':');
    constexpr std::string_view kKinds[] = {"mask", "exit", "route"};
    const bool has_kind =
        colon != std::string::npos &&
        std::ranges::find(kKinds, policy.second.substr(0, colon)) != std::end(kKinds);
    const PolicyFile file =
        read_policy_file(has_kind ? policy.second.substr(colon + 1) : policy.second);
    if (file.model != fingerprint_of(open.model)) return false;
  }
  p.choice = open_depth(policy.second, open.model);
  p.classes = class_names(p.choice);
  if (const EarlyExit* exit = p.exit(); exit && exit->rule().n_class > 0)
    p.classifier = std::make_unique<PooledAnswer>(*p.choice.policy);
  policies.push_back(std::move(p));
  return true;
}

void ServedModel::set_reranker(const std::string& file, const ServeOptions& options) {
  reranker.emplace(Reranker::open(file, open.model, model_options(options)));
}

const NamedPolicy* ServedModel::find_policy(const std::string& name) const {
  const auto at = std::ranges::find(policies, name, &NamedPolicy::name);
  return at == policies.end() ? nullptr : &*at;
}

std::vector<Answer> ServedModel::answers(const NamedPolicy& policy, const DepthTrace& trace,
                                         std::span<const float> u, std::span<const float> v,
                                         bool raw) const {
  const ExitRule& rule = policy.exit()->rule();
  const auto label = [&](size_t c) {
    return c < policy.classes.size() ? policy.classes[c] : concat("LABEL_", c);
  };
  if (rule.n_class == 1) return {{label(0), double{trace.predicted_value}}};
  const ExitPoint* exit = rule.exit_at(trace.exit_layer);
  // It stopped at the last layer, which has no head: the answer is that of the exit before.
  if (!exit)
    return {
        {label(static_cast<size_t>(std::max(trace.predicted_class, 0))), double{trace.confidence}}};
  const Postprocess& post = rule.post[trace.exit_layer];
  const std::vector<float> first = processed_by(post, u),
                           second = v.empty() ? std::vector<float>() : processed_by(post, v);
  std::vector<float> features(feature_dim(rule.features, first.size()));
  build_features(rule.features, first, second, features);
  std::vector<double> scores(rule.n_class);
  exit->head.logits(features, scores);
  if (!raw) softmax(scores, scores);
  std::vector<Answer> all;
  for (size_t c = 0; c < rule.n_class; ++c) all.push_back({label(c), scores[c]});
  std::ranges::stable_sort(all, std::greater<>(), &Answer::score);
  return all;
}

std::vector<size_t> ServedModel::layers(const std::string& text) const {
  return parse_layers(text, open.model.config().n_layer, "layer");
}
std::string ServedModel::name_of_layer(size_t layer) const {
  return layer_name(layer, open.model.config().n_layer);
}

}  // namespace fathom::serve
