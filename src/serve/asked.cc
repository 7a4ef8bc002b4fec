// SPDX-License-Identifier: Apache-2.0
#include "serve/asked.h"

#include <algorithm>
#include <cmath>

#include "base/invalid_option.h"
#include "base/list.h"

namespace fathom::serve {
namespace {

// What is wrong with an option of the engine, by the field of the request.
[[noreturn]] void refuse_option(const InvalidOption& e, const Body& body) {
  std::string field = e.field();
  if (field == "layers") field = "layer";
  if (field == "dimensions" && !body.find("dimensions")) field = "truncate_dim";
  throw RequestError(
      Fault::kInvalid, field,
      concat(field, ": expected ", e.expected(), e.got().empty() ? "" : ", got ", e.got()));
}

// "3", 3 or "final".
std::string layer_text(const Body& body, const Json& value) {
  if (value.is_number_unsigned()) return dump_json(value);
  if (value.is_string() && value.get<std::string>().size() <= 200) return value.get<std::string>();
  body.refuse("layer", "a number, \"final\", or a list of them");
}

std::string layers_text(const Body& body, bool& is_list) {
  const Json* value = body.find("layer");
  if (!value) return "";
  is_list =
      value->is_array() ||
      (value->is_string() && (value->get<std::string>() == "all" ||
                              value->get<std::string>().find_first_of(",-") != std::string::npos));
  if (!value->is_array()) return layer_text(body, *value);
  if (value->empty()) body.refuse("layer", "at least one layer");
  std::string text;
  for (const Json& one : *value) text += (text.empty() ? "" : ",") + layer_text(body, one);
  return text;
}

const NamedPolicy* policy_of(const Body& body, const ServedModel& model) {
  const std::string name = body.text("depth").value_or("full");
  if (name == "full") return nullptr;
  if (const NamedPolicy* policy = model.find_policy(name)) return policy;
  std::vector<std::string> names = {"full"};
  for (const NamedPolicy& p : model.policies) names.push_back(p.name);
  body.refuse("depth", concat("one of ", join(names)));
}

// What becomes of vectors.
void read_form(const Body& body, Reading& reading) {
  reading.normalize = body.flag("normalize").value_or(reading.normalize);
  const auto dimensions = body.whole("dimensions"), truncate = body.whole("truncate_dim");
  if (dimensions && truncate && dimensions != truncate)
    body.refuse("truncate_dim", "the same as dimensions, or one of them");
  reading.dimensions = dimensions ? dimensions : truncate;
}

// A policy file brings what it was fitted to: what the body says must not contradict it.
void check_fitted(const Body& body, const NamedPolicy& policy) {
  if (body.find("layer"))
    throw RequestError(Fault::kInvalid, "layer",
                       "layer: depth chooses the layer itself; expected one of them");
  if (!policy.choice.file) return;
  const Reading fitted = policy.reading();
  const auto check = [&](const char* field, std::string_view name) {
    if (const auto value = body.text(field); value && *value != name)
      body.refuse(field, concat(name, ", as the depth policy was fitted"));
  };
  check("pooling", name_of(fitted.pooling));
  check("norm", name_of(fitted.norm));
}

std::vector<size_t> every_layer(const ServedModel& model, Pooling pooling) {
  if (!pools_state(pooling)) return model.layers("all");
  std::vector<size_t> layers;
  for (size_t i = 1; i <= model.open.model.config().n_layer; ++i) layers.push_back(i);
  return layers;
}

}  // namespace

size_t find_model(const Context& context, const std::optional<std::string>& name,
                  const std::string& field) {
  if (!name) return 0;
  for (size_t i = 0; i < context.models.size(); ++i)
    if (context.models[i]->name == *name) return i;
  const std::string shown = name->size() <= 200 ? *name : name->substr(0, 200) + "…";
  throw RequestError(Fault::kNoModel, field, concat("The model '", shown, "' does not exist"));
}

Way way_of(const ServedModel& model, const Reading& reading, const DepthPolicy* policy) {
  return {reading, policy, model.encoder->shape(reading, policy)};
}

Way policy_way(const ServedModel& model, const NamedPolicy& policy, const DepthPolicy& runs,
               const Reading& base) {
  Reading reading = base;
  reading.layers.clear();
  if (policy.choice.file) reading.pool_as(policy.reading());
  return way_of(model, reading, &runs);
}

AskedReading reading_of(const Body& body, const ServedModel& model, bool all_layers) {
  AskedReading asked;
  Reading reading = model.reading;
  try {
    if (const auto pooling = body.text("pooling")) reading.pooling = parse_pooling(*pooling);
    if (const auto norm = body.text("norm")) reading.norm = parse_norm(*norm);
    read_form(body, reading);
    asked.policy = policy_of(body, model);
    const std::string layers = layers_text(body, asked.is_list);
    if (asked.policy) {
      check_fitted(body, *asked.policy);
      asked.way = policy_way(model, *asked.policy, *asked.policy->choice.policy, reading);
      return asked;
    }
    if (!layers.empty())
      reading.layers = model.layers(layers);
    else if (all_layers)
      reading.layers = every_layer(model, reading.pooling);
    asked.way = way_of(model, reading, nullptr);
  } catch (const InvalidOption& e) {
    refuse_option(e, body);
  } catch (const UsageError& e) {
    throw RequestError(Fault::kInvalid, "", e.what());
  }
  return asked;
}

std::string prompt_of(const ServedModel& model, const std::optional<std::string>& name,
                      const std::string& field) {
  if (!name) return "";
  const auto& prompts = model.prompts;
  const auto at = std::ranges::find(prompts, *name, &NamedText::first);
  if (at != prompts.end()) return at->second;
  std::vector<std::string> names;
  for (const NamedText& p : prompts) names.push_back(p.first);
  throw RequestError(Fault::kInvalid, field,
                     names.empty()
                         ? concat(field, ": this model has no prompts")
                         : concat(field, ": expected one of ", join(names), ", got another text"));
}

void add_text(Asked& asked, const ServedModel& model, const Input& input, const std::string& prompt,
              std::string place) {
  std::vector<Token> ids;
  if (input.is_ids) {
    if (!prompt.empty())
      throw RequestError(Fault::kInvalid, "prompt_name",
                         concat("prompt_name: expected texts, got token ids at ", place));
    const size_t n_vocab = model.open.model.config().n_vocab;
    const auto beyond = std::ranges::find_if(input.ids, [&](Token id) { return id >= n_vocab; });
    if (beyond != input.ids.end())
      throw RequestError(
          Fault::kUnprocessable, place,
          concat(
              place, ": token id ", *beyond, " is not of this model, which has ", n_vocab,
              " ids. Are they another tokenizer's? LangChain's OpenAIEmbeddings sends texts with "
              "check_embedding_ctx_length=False"));
    ids = input.ids;
  } else {
    if (!model.open.vocabulary.tokenizer)
      throw RequestError(Fault::kUnprocessable, place,
                         concat(place, ": this model has no vocabulary; expected token ids"));
    asked.n_char += input.text.size() + prompt.size();
    model.open.vocabulary.tokenizer->encode(prompt.empty() ? input.text : prompt + input.text, ids);
    if (ids.empty())
      throw RequestError(Fault::kUnprocessable, place, concat(place, ": the text has no tokens"));
  }
  asked.job->texts.push_back(std::move(ids));
  asked.places.push_back(std::move(place));
}

void add_item(Asked& asked, const Context& context, size_t way, size_t text, size_t n_value) {
  Job& job = *asked.job;
  job.items.push_back({way, text, job.n_value});
  job.n_value += n_value;
  const size_t max = context.options.max_reply_values;
  if (job.n_value > max)
    throw RequestError(Fault::kTooLarge, "",
                       concat("the reply would hold more than ", max,
                              " numbers; expected fewer texts or layers in a request"));
}

void check_truncate(const Body& body) {
  body.flag("truncate");
  body.choice("truncation_direction", {"left", "right", "Left", "Right"});
}

OrderedJson told_of(const Job& job, size_t item, const ServedModel& model,
                    const NamedPolicy* policy) {
  const Item& of = job.items[item];
  const Way& way = job.ways[of.way];
  OrderedJson j;
  j["n_token"] = scanned_tokens(job.texts[of.text].size(), way.reading);
  if (!policy) {
    for (size_t layer : way.reading.layers) j["layers"].push_back(model.name_of_layer(layer));
    return j;
  }
  const DepthTrace& trace = job.trace[item];
  j["exit_layer"] = trace.exit_layer;
  j["n_time_mix"] = trace.n_time_mix;
  j["n_channel_mix"] = trace.n_channel_mix;
  if (trace.route >= 0) j["route"] = trace.route;
  if (trace.predicted_class >= 0) {
    const auto c = static_cast<size_t>(trace.predicted_class);
    j["predicted_class"] =
        c < policy->classes.size() ? OrderedJson(policy->classes[c]) : OrderedJson(c);
  }
  if (std::isfinite(trace.predicted_value)) j["predicted_value"] = trace.predicted_value;
  if (std::isfinite(trace.confidence)) j["confidence"] = trace.confidence;
  return j;
}

std::span<const float> vector_of(const Job& job, size_t item, size_t vector) {
  const Item& of = job.items[item];
  const size_t dim = job.ways[of.way].shape.dim;
  return std::span(job.out).subspan(of.out + vector * dim, dim);
}

Asked ask(const Route& route, std::string_view text, const Context& context) {
  const Body body(text, *route.shape);
  switch (route.action) {
    case Action::kEmbeddings:
      return ask_embeddings(body, context);
    case Action::kLayers:
      return ask_layers(body, context);
    case Action::kEmbed:
      return ask_embed(body, context);
    case Action::kEmbedAll:
      return ask_embed_all(body, context);
    case Action::kSimilarity:
      return ask_similarity(body, context);
    case Action::kRerank:
      return ask_rerank(body, context);
    case Action::kPredict:
      return ask_predict(body, context);
    case Action::kTokenize:
      return ask_tokenize(body, context);
    case Action::kDecode:
      return ask_decode(body, context);
    default:
      break;
  }
  throw RequestError(Fault::kBug, "", "a route without a body");
}

}  // namespace fathom::serve
