// SPDX-License-Identifier: Apache-2.0
// Routes that compare or classify: /similarity, /rerank, /predict.
#include <algorithm>
#include <cmath>

#include "probe/features.h"
#include "serve/asked.h"

namespace fathom::serve {
namespace {

constexpr Field kPairFields[] = {{"source_sentence", "{}", true}, {"sentences", "{}", true}};
constexpr Field kParameterFields[] = {
    {"truncate", "{}"}, {"truncation_direction", "{}"}, {"prompt_name", "{}"}};
const Shape kPairShape{"", {kPairFields}}, kParameterShape{"", {kParameterFields}};

// One text against others, each read in the way of the body. Cosines are cosine(job, i).
struct Compared {
  Asked asked;
  bool by_pair = false;
};

Compared ask_cosines(const Body& body, const Context& context, const std::string& one,
                     const std::vector<std::string>& others,
                     const std::optional<std::string>& prompt_name, const char* name_of_one,
                     const char* name_of_others) {
  Compared c;
  Asked& asked = c.asked;
  asked.job = std::make_shared<Job>();
  asked.job->model = find_model(context, body.text("model"), "model");
  const ServedModel& model = *context.models[asked.job->model];
  const AskedReading reading = reading_of(body, model);
  if (reading.way.shape.n_vector != 1) body.refuse("layer", "one layer");
  asked.job->ways = {reading.way};
  const std::string prompt = prompt_of(model, prompt_name, "prompt_name");
  check_count(name_of_others, others.size(), context.options.max_client_batch);
  asked.n_input = others.size();
  add_text(asked, model, {.text = one, .ids = {}, .is_ids = false}, prompt, name_of_one);
  c.by_pair = reading.way.policy && reading.way.policy->by_pair();
  if (!c.by_pair) add_item(asked, context, 0, 0, reading.way.size());
  for (size_t i = 0; i < others.size(); ++i) {
    add_text(asked, model, {.text = others[i], .ids = {}, .is_ids = false}, prompt,
             concat(name_of_others, "[", i, "]"));
    if (c.by_pair) add_item(asked, context, 0, 0, reading.way.size());
    add_item(asked, context, 0, i + 1, reading.way.size());
  }
  return c;
}

std::vector<float> cosines_of(const Job& job, bool by_pair) {
  std::vector<float> all;
  const size_t step = by_pair ? 2 : 1;
  for (size_t i = 1; i < job.items.size(); i += step)
    all.push_back(static_cast<float>(
        cosine_of(vector_of(job, by_pair ? i - 1 : 0, 0), vector_of(job, i, 0))));
  return all;
}

Reply ranks_reply(std::span<const float> scores, const std::vector<std::string>& texts) {
  std::vector<size_t> order(scores.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t i) { return scores[i]; });
  std::string out = "[";
  for (size_t i : order) {
    std::string number;
    append_vector(scores.subspan(i, 1), number);
    out += concat(out.size() > 1 ? "," : "", "{\"index\":", i);
    if (!texts.empty()) out += concat(",\"text\":", dump_json(Json(texts[i])));
    out += concat(",\"score\":", number.substr(1, number.size() - 2), "}");
  }
  return {.body = out + "]"};
}

// By the state reranker, which reads both texts at its own layers.
Asked ask_reranker(const Body& body, const Context& context, size_t model,
                   const std::vector<std::string>& texts) {
  for (const char* field :
       {"layer", "pooling", "norm", "normalize", "depth", "truncate_dim", "prompt_name"})
    if (body.find(field))
      body.refuse(field, "nothing: this server ranks with a reranker, which has its own");
  Asked asked;
  asked.job = std::make_shared<Job>();
  asked.job->kind = Job::Kind::kRerank;
  asked.job->model = model;
  const ServedModel& served = *context.models[model];
  const RerankPrompt prompt;
  add_text(asked, served,
           {.text = prompt.query(body.required_text("query")), .ids = {}, .is_ids = false}, "",
           "query");
  for (const std::string& text : texts)
    add_text(asked, served, {.text = prompt.document(text), .ids = {}, .is_ids = false}, "",
             concat("texts[", asked.places.size() - 1, "]"));
  asked.job->n_value = texts.size();
  return asked;
}

// Its logits, of scores in (0, 1).
void to_logits(std::vector<float>& scores) {
  for (float& s : scores) {
    const double p = std::clamp(double{s}, 1e-7, 1 - 1e-7);
    s = static_cast<float>(std::log(p / (1 - p)));
  }
}

// Texts of /predict, single or in pairs.
struct Predicted {
  std::vector<std::vector<std::string>> all;
  bool single = false;
};

Predicted predicted_of(const Body& body) {
  const char* expected = "a text, a pair of texts, or a list of [text] and [text, text]";
  const Json& value = *body.find("inputs");
  Predicted p;
  const auto add = [&](const Json& list) {
    if (!list.is_array() || list.empty() || list.size() > 2) body.refuse("inputs", expected);
    auto& texts = p.all.emplace_back();
    for (const Json& one : list) {
      if (!one.is_string()) body.refuse("inputs", expected);
      texts.push_back(one.get<std::string>());
      if (texts.back().empty())
        throw RequestError(Fault::kUnprocessable, "inputs",
                           concat("inputs[", p.all.size() - 1, "]: the text is empty"));
    }
  };
  p.single = value.is_string() || (value.is_array() && !value.empty() && value[0].is_string());
  if (value.is_string())
    add(Json::array({value}));
  else if (p.single)
    add(value);
  else if (value.is_array() && !value.empty())
    for (const Json& one : value) add(one);
  else
    body.refuse("inputs", expected);
  return p;
}

// The policy that classifies: the one that is named, or the only one with heads.
const NamedPolicy& classifier_of(const Body& body, const ServedModel& model) {
  const NamedPolicy* found = nullptr;
  const std::string name = body.text("depth").value_or("");
  for (const NamedPolicy& p : model.policies)
    if (p.classifier && (name.empty() ? !found : name == p.name)) found = &p;
  if (found) return *found;
  throw RequestError(Fault::kBackend, "depth",
                     name.empty()
                         ? "model is not a classifier: no depth policy with classes is loaded"
                         : "depth: expected a loaded policy with classes");
}

OrderedJson answers_json(const std::vector<Answer>& answers) {
  OrderedJson all = OrderedJson::array();
  for (const Answer& a : answers) all.push_back({{"score", a.score}, {"label", a.label}});
  return all;
}

}  // namespace

Asked ask_similarity(const Body& body, const Context& context) {
  check_truncate(body);
  const Body pair(*body.find("inputs"), kPairShape, "inputs");
  std::optional<std::string> prompt = body.text("prompt_name");
  if (const Json* parameters = body.find("parameters")) {
    const Body more(*parameters, kParameterShape, "parameters");
    check_truncate(more);
    if (const auto name = more.text("prompt_name")) prompt = name;
  }
  Compared c =
      ask_cosines(body, context, pair.required_text("source_sentence"), pair.texts("sentences"),
                  prompt, "inputs.source_sentence", "inputs.sentences");
  c.asked.make = [by_pair = c.by_pair](const Job& job) -> Reply {
    std::string all;
    append_vector(cosines_of(job, by_pair), all);
    return {.body = std::move(all)};
  };
  return std::move(c.asked);
}

Asked ask_rerank(const Body& body, const Context& context) {
  check_truncate(body);
  std::vector<std::string> texts = body.texts("texts");
  check_count("texts", texts.size(), context.options.max_client_batch);
  const size_t model = find_model(context, body.text("model"), "model");
  const bool raw = body.flag("raw_scores").value_or(false),
             shows = body.flag("return_text").value_or(false),
             by_states = context.models[model]->reranker.has_value();
  Asked asked;
  bool by_pair = false;
  if (by_states) {
    asked = ask_reranker(body, context, model, texts);
  } else {
    Compared c = ask_cosines(body, context, body.required_text("query"), texts,
                             body.text("prompt_name"), "query", "texts");
    asked = std::move(c.asked);
    by_pair = c.by_pair;
  }
  asked.n_input = texts.size();
  if (!shows) texts.clear();
  asked.make = [=, texts = std::move(texts)](const Job& job) {
    if (!by_states) return ranks_reply(cosines_of(job, by_pair), texts);
    std::vector<float> scores = job.out;
    if (raw) to_logits(scores);
    return ranks_reply(scores, texts);
  };
  return asked;
}

Asked ask_predict(const Body& body, const Context& context) {
  check_truncate(body);
  const bool raw = body.flag("raw_scores").value_or(false);
  const Predicted predicted = predicted_of(body);
  check_count("inputs", predicted.all.size(), context.options.max_client_batch);
  Asked asked;
  asked.job = std::make_shared<Job>();
  asked.job->model = find_model(context, body.text("model"), "model");
  const ServedModel& model = *context.models[asked.job->model];
  const NamedPolicy& policy = classifier_of(body, model);
  Reading base = model.reading;
  base.normalize = false;
  base.dimensions.reset();
  asked.job->ways = {policy_way(model, policy, *policy.classifier, base)};
  const size_t width = policy.choice.policy->by_pair() ? 2 : 1;
  for (size_t i = 0; i < predicted.all.size(); ++i) {
    if (predicted.all[i].size() != width)
      throw RequestError(Fault::kInvalid, "inputs",
                         concat("inputs[", i, "]: depth ", policy.name, " classifies ",
                                width == 2 ? "pairs of texts" : "single texts"));
    for (const std::string& text : predicted.all[i]) {
      add_text(asked, model, {.text = text, .ids = {}, .is_ids = false}, "",
               concat("inputs[", i, "]"));
      add_item(asked, context, 0, asked.places.size() - 1, asked.job->ways[0].size());
    }
  }
  asked.n_input = predicted.all.size();
  asked.single = predicted.single;
  asked.make = [width, raw, single = predicted.single, &model, &policy](const Job& job) -> Reply {
    OrderedJson all = OrderedJson::array();
    for (size_t i = 0; i < job.items.size(); i += width) {
      const auto v = width == 2 ? vector_of(job, i + 1, 0) : std::span<const float>();
      all.push_back(
          answers_json(model.answers(policy, job.trace[i], vector_of(job, i, 0), v, raw)));
    }
    return {.body = dump_json(single ? all[0] : all)};
  };
  return asked;
}

}  // namespace fathom::serve
