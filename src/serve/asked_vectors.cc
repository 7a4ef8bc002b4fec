// SPDX-License-Identifier: Apache-2.0
// Routes that give vectors: /v1/embeddings, /embed, /embed_all, /v1/layers.
#include <algorithm>

#include "base/utf8.h"
#include "eval/cost.h"
#include "probe/features.h"
#include "serve/asked.h"

namespace fathom::serve {
namespace {

const ServedModel& model_of(const Context& context, const Asked& asked) {
  return *context.models[asked.job->model];
}

// All texts of a field, each read in one way.
Asked ask_inputs(const Body& body, const char* field, const Context& context,
                 const AskedReading& reading, size_t model) {
  Asked asked;
  asked.job = std::make_shared<Job>();
  asked.job->model = model;
  asked.job->ways = {reading.way};
  const Inputs inputs = body.inputs(field, context.options.max_client_batch);
  asked.single = inputs.single;
  asked.n_input = inputs.all.size();
  if (reading.way.policy && reading.way.policy->by_pair() && asked.n_input % 2 != 0)
    throw RequestError(
        Fault::kInvalid, field,
        concat(field, ": depth ", reading.policy->name,
               " decides about pairs; expected an even number of texts, got ", asked.n_input));
  const std::string prompt =
      prompt_of(*context.models[model], body.text("prompt_name"), "prompt_name");
  for (const Input& input : inputs.all)
    add_text(asked, *context.models[model], input, prompt,
             inputs.single ? std::string(field) : concat(field, "[", asked.places.size(), "]"));
  return asked;
}

Asked ask_vectors(const Body& body, const char* field, const Context& context,
                  AskedReading& reading) {
  const size_t model = find_model(context, body.text("model"), "model");
  reading = reading_of(body, *context.models[model]);
  Asked asked = ask_inputs(body, field, context, reading, model);
  for (size_t i = 0; i < asked.n_input; ++i) add_item(asked, context, 0, i, reading.way.size());
  return asked;
}

OrderedJson told_all(const Job& job, const ServedModel& model, const NamedPolicy* policy) {
  OrderedJson all = OrderedJson::array();
  for (size_t i = 0; i < job.items.size(); ++i) all.push_back(told_of(job, i, model, policy));
  return all;
}

OrderedJson usage_of(const Job& job) {
  return {{"prompt_tokens", job.n_token}, {"total_tokens", job.n_token}};
}

// Of the way that texts are read in.
OrderedJson described_way(const Way& way, const NamedPolicy* policy) {
  OrderedJson j;
  j["depth"] = policy ? policy->name : "full";
  j["pooling"] = name_of(way.reading.pooling);
  j["norm"] = name_of(way.reading.norm);
  j["normalize"] = way.reading.normalize;
  j["dim"] = way.shape.dim;
  return j;
}

void append_any(std::span<const float> vector, bool in_base64, std::string& out) {
  if (in_base64)
    out += concat("\"", base64(vector), "\"");
  else
    append_vector(vector, out);
}

// A JSON object whose big part stands in front: {"data":[…], rest…}.
std::string with_data(std::string_view name, const std::string& data, const OrderedJson& rest) {
  const std::string tail = dump_json(rest);
  return concat("{\"", name, "\":", data, tail == "{}" ? "" : ",", tail.substr(1));
}

Reply embeddings_reply(const Job& job, const ServedModel& model, const AskedReading& reading,
                       bool in_base64, bool tells) {
  std::string data = "[";
  for (size_t i = 0; i < job.items.size(); ++i)
    for (size_t v = 0; v < reading.way.shape.n_vector; ++v) {
      data += data.size() > 1 ? "," : "";
      data += concat("{\"object\":\"embedding\",\"index\":", i);
      if (reading.is_list && !reading.policy)
        data += concat(",\"layer\":\"", model.name_of_layer(reading.way.reading.layers[v]), "\"");
      data += ",\"embedding\":";
      append_any(vector_of(job, i, v), in_base64, data);
      data += '}';
    }
  data += ']';
  OrderedJson rest = {{"object", "list"}, {"model", model.name}, {"usage", usage_of(job)}};
  if (tells) {
    rest["fathom"] = described_way(reading.way, reading.policy);
    rest["fathom"]["texts"] = told_all(job, model, reading.policy);
  }
  return {.body = with_data("data", data, rest)};
}

bool wants_base64(const Body& body) {
  return body.choice("encoding_format", {"float", "base64"}).value_or("float") == "base64";
}

// What loaded policies do with the two texts whose similarity is asked for at every layer.
void add_policies(Asked& asked, const Context& context) {
  const ServedModel& model = model_of(context, asked);
  for (const NamedPolicy& policy : model.policies) {
    asked.job->ways.push_back(
        policy_way(model, policy, *policy.choice.policy, asked.job->ways[0].reading));
    // Vectors that somebody shortened are not what a policy returns.
    Way& way = asked.job->ways.back();
    way.reading.dimensions.reset();
    way = way_of(model, way.reading, way.policy);
    for (size_t text : {0, 1})
      add_item(asked, context, asked.job->ways.size() - 1, text, way.size());
  }
}

OrderedJson tokens_of(const Job& job, size_t text, const ServedModel& model) {
  OrderedJson all = OrderedJson::array();
  constexpr size_t kMost = 512;  // to be looked at
  const auto& ids = job.texts[text];
  const Tokenizer* tokenizer = model.open.vocabulary.tokenizer.get();
  for (size_t i = 0; i < std::min(ids.size(), kMost); ++i) {
    OrderedJson one = {{"id", ids[i]}};
    if (tokenizer && ids[i] < tokenizer->n_vocab())
      one["text"] = replace_ill_formed(tokenizer->piece(ids[i]));
    all.push_back(std::move(one));
  }
  return all;
}

OrderedJson exit_of(const Job& job, size_t item, const ServedModel& model,
                    const NamedPolicy& policy) {
  OrderedJson j = {{"depth", policy.name}, {"by_pair", policy.choice.policy->by_pair()}};
  DepthTrace whole;
  whole.exit_layer = whole.n_time_mix = whole.n_channel_mix =
      static_cast<uint32_t>(model.cost.n_layer);
  double flops = 0, full = 0;
  for (size_t i = item; i < item + 2; ++i) {
    const Way& way = job.ways[job.items[i].way];
    const size_t n_token = scanned_tokens(job.texts[job.items[i].text].size(), way.reading);
    flops += depth_flops(model.cost, *way.policy, job.trace[i], n_token);
    full += depth_flops(model.cost, FixedDepth(model.cost.n_layer), whole, n_token);
    j["exit_layer"].push_back(job.trace[i].exit_layer);
  }
  j["flops_share"] = flops / full;
  return j;
}

Reply similarity_reply(const Job& job, const ServedModel& model) {
  OrderedJson j = {{"object", "similarity"}, {"model", model.name}};
  const Reading& reading = job.ways[0].reading;
  for (size_t v = 0; v < reading.layers.size(); ++v) {
    j["layers"].push_back(model.name_of_layer(reading.layers[v]));
    j["similarity"].push_back(cosine_of(vector_of(job, 0, v), vector_of(job, 1, v)));
  }
  j["exits"] = OrderedJson::array();
  for (size_t p = 0; p < model.policies.size(); ++p)
    j["exits"].push_back(exit_of(job, 2 + 2 * p, model, model.policies[p]));
  j["tokens"] = OrderedJson::array({tokens_of(job, 0, model), tokens_of(job, 1, model)});
  j["usage"] = usage_of(job);
  return {.body = dump_json(j)};
}

Reply layers_reply(const Job& job, const ServedModel& model, bool in_base64) {
  OrderedJson rest = {{"object", "layers"}, {"model", model.name}};
  const Way& way = job.ways[0];
  for (size_t layer : way.reading.layers) rest["layers"].push_back(model.name_of_layer(layer));
  rest["usage"] = usage_of(job);
  std::string data = "[";
  for (size_t i = 0; i < job.items.size(); ++i) {
    data += concat(i > 0 ? "," : "", "{\"index\":", i, ",\"embeddings\":[");
    for (size_t v = 0; v < way.shape.n_vector; ++v) {
      data += v > 0 ? "," : "";
      append_any(vector_of(job, i, v), in_base64, data);
    }
    data += "]}";
  }
  return {.body = with_data("data", data + "]", rest)};
}

}  // namespace

Asked ask_embeddings(const Body& body, const Context& context) {
  AskedReading reading;
  body.text("user");
  const bool in_base64 = wants_base64(body), tells = body.flag("fathom").value_or(false);
  Asked asked = ask_vectors(body, "input", context, reading);
  asked.make = [reading, in_base64, tells, &model = model_of(context, asked)](const Job& job) {
    return embeddings_reply(job, model, reading, in_base64, tells);
  };
  return asked;
}

Asked ask_embed(const Body& body, const Context& context) {
  AskedReading reading;
  check_truncate(body);
  const bool tells = body.flag("fathom").value_or(false);
  Asked asked = ask_vectors(body, "inputs", context, reading);
  asked.make = [reading, tells, &model = model_of(context, asked)](const Job& job) -> Reply {
    std::string all = "[";
    for (size_t i = 0; i < job.items.size(); ++i) {
      all += i > 0 ? "," : "";
      all += reading.is_list ? "[" : "";
      for (size_t v = 0; v < reading.way.shape.n_vector; ++v) {
        all += v > 0 ? "," : "";
        append_vector(vector_of(job, i, v), all);
      }
      all += reading.is_list ? "]" : "";
    }
    all += ']';
    if (!tells) return {.body = std::move(all)};
    OrderedJson rest;
    rest["fathom"] = described_way(reading.way, reading.policy);
    rest["fathom"]["texts"] = told_all(job, model, reading.policy);
    return {.body = with_data("embeddings", all, rest)};
  };
  return asked;
}

Asked ask_embed_all(const Body& body, const Context& context) {
  check_truncate(body);
  const size_t model = find_model(context, body.text("model"), "model");
  AskedReading reading = reading_of(body, *context.models[model]);
  for (const char* field : {"pooling", "depth", "truncate_dim", "normalize"})
    if (body.find(field)) body.refuse(field, "nothing: every token's row is given");
  if (reading.way.reading.layers.size() != 1) body.refuse("layer", "one layer");
  // Of the text as it stands, whatever the model's reading puts around it.
  reading.way.reading.pooling = Pooling::kMean;
  reading.way.reading.scan = Scan::kForward;
  reading.way.reading.bos.reset();
  reading.way.shape = {1, context.models[model]->open.model.config().d_model};
  Asked asked = ask_inputs(body, "inputs", context, reading, model);
  asked.job->kind = Job::Kind::kTokenRows;
  const size_t dim = reading.way.shape.dim;
  for (size_t i = 0; i < asked.n_input; ++i)
    add_item(asked, context, 0, i, asked.job->texts[i].size() * dim);
  asked.make = [](const Job& job) -> Reply {
    std::string all = "[";
    for (size_t i = 0; i < job.items.size(); ++i) {
      all += i > 0 ? ",[" : "[";
      for (size_t t = 0; t < job.texts[i].size(); ++t) {
        all += t > 0 ? "," : "";
        append_vector(vector_of(job, i, t), all);
      }
      all += ']';
    }
    return {.body = all + "]"};
  };
  return asked;
}

Asked ask_layers(const Body& body, const Context& context) {
  const bool in_base64 = wants_base64(body);
  const bool similar =
      body.choice("output", {"vectors", "similarity"}).value_or("vectors") == "similarity";
  const size_t model = find_model(context, body.text("model"), "model");
  const ServedModel& served = *context.models[model];
  const AskedReading reading = reading_of(body, served, true);
  if (reading.policy) body.refuse("depth", "full: every layer is given");
  Asked asked = ask_inputs(body, "input", context, reading, model);
  if (similar && asked.n_input != 2)
    throw RequestError(Fault::kInvalid, "input",
                       concat("input: expected two texts to compare, got ", asked.n_input));
  for (size_t i = 0; i < asked.n_input; ++i) add_item(asked, context, 0, i, reading.way.size());
  if (similar) add_policies(asked, context);
  asked.make = [similar, in_base64, &served](const Job& job) {
    return similar ? similarity_reply(job, served) : layers_reply(job, served, in_base64);
  };
  return asked;
}

}  // namespace fathom::serve
