// SPDX-License-Identifier: Apache-2.0
#include "serve/service.h"

#include <algorithm>
#include <chrono>

#include "base/invalid_option.h"
#include "base/thread_pool.h"
#include "model/compute_choice.h"
#include "serve/pages.h"

namespace fathom::serve {
namespace {

std::string milliseconds(Clock::duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}

double in_seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

// TEI's name for why a request had no answer.
const char* failure_name(Fault fault) {
  if (fault == Fault::kOverloaded) return "overloaded";
  if (fault == Fault::kBackend || fault == Fault::kBug) return "inference";
  if (fault == Fault::kTooLarge) return "batch_size";
  if (fault == Fault::kUnprocessable) return "tokenization";
  return "validation";
}

JobQueue::Limits limits_of(const ServeOptions& o) {
  return {o.batch_tokens, o.max_queued_tokens, std::chrono::milliseconds(o.max_wait_ms)};
}

}  // namespace

Service::Service(const ServeOptions& options, Post post)
    : options_(options),
      post_(std::move(post)),
      keys_(options.api_key_file),
      queue_(limits_of(options)),
      created_(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())) {}

Service::~Service() { stop(); }

void Service::stop() {
  queue_.close();
  engine_.reset();
}

void Service::load(const std::function<void(const std::string&)>& note) {
  for (const NamedText& model : options_.models)
    models_.push_back(std::make_unique<ServedModel>(model, options_, note));
  for (const NamedText& policy : options_.policies) {
    bool fits = false;
    for (auto& model : models_) fits |= model->add_policy(policy);
    FATHOM_REQUIRE(fits, "policy ", policy.first, ": ", policy.second,
                   " was fitted to another model than those that are served");
  }
  if (!options_.reranker.empty()) models_[0]->set_reranker(options_.reranker, options_);
  engine_ = std::make_unique<Engine>(models_, queue_, metrics_, options_.batch_tokens,
                                     options_.threads ? options_.threads : available_threads());
  ready_ = true;
}

std::optional<Reply> Service::turn_away(const Route& route, std::string_view authorization) {
  const auto refuse = [&](Fault fault, const char* reason, const char* message) {
    metrics_.rejected.add(reason);
    return error_reply(route.family, RequestError(fault, "", message));
  };
  if (!route.is_open && !keys_.let_in(authorization))
    return refuse(Fault::kUnauthorized, "key", "expected an API key: Authorization: Bearer KEY");
  const bool needs_model = route.is_post() || route.action == Action::kModels ||
                           route.action == Action::kModel || route.action == Action::kInfo ||
                           route.action == Action::kHealth;
  if (needs_model && !ready_)
    return refuse(Fault::kNotReady, "not_ready", "the model is not ready yet");
  if (route.is_post() && !queue_.has_room())
    return refuse(Fault::kOverloaded, "queued_tokens", "Model is overloaded: too many tokens wait");
  return std::nullopt;
}

Reply Service::count_failure(Family family, const RequestError& error) {
  metrics_.request_failure.add(failure_name(error.fault()));
  return error_reply(family, error);
}

std::shared_ptr<Job> Service::start(const Route& route, const std::string& parameter,
                                    std::string_view body, const Done& done) {
  const auto begin = Clock::now();
  try {
    if (!route.is_post()) {
      done(answer(route, parameter), 0);
      return nullptr;
    }
    Asked asked = ask(route, body, {options_, models_});
    metrics_.tokenization_duration.add(in_seconds(Clock::now() - begin));
    metrics_.request_count.add(asked.single ? "single" : "batch");
    if (asked.job) return queue(route, std::move(asked), begin, done);
    metrics_.request_success.add("batch");
    done(std::move(asked.reply), 0);
  } catch (const RequestError& e) {
    done(count_failure(route.family, e), 0);
  } catch (const std::exception& e) {
    done(count_failure(route.family, RequestError(Fault::kBug, "", e.what())), 0);
  }
  return nullptr;
}

std::shared_ptr<Job> Service::queue(const Route& route, Asked asked, Clock::time_point start,
                                    const Done& done) {
  std::shared_ptr<Job> job = asked.job;
  asked.job.reset();  // else it would hold itself
  auto shared = std::make_shared<const Asked>(std::move(asked));
  job->done = [this, &route, shared, start, done](const std::shared_ptr<Job>& finished) {
    post_([=, this, &route] { finish(route, *shared, *finished, start, done); });
  };
  switch (queue_.push(job)) {
    case JobQueue::Push::kTaken:
      return job;
    case JobQueue::Push::kTooLong:
      throw RequestError(Fault::kTooLarge, "",
                         concat("expected at most ", options_.max_queued_tokens,
                                " tokens in a request, got more"));
    case JobQueue::Push::kClosed:
      metrics_.rejected.add("closing");
      throw RequestError(Fault::kNotReady, "", "the server is shutting down");
    case JobQueue::Push::kFull:
      break;
  }
  metrics_.rejected.add("queued_tokens");
  throw RequestError(Fault::kOverloaded, "", "Model is overloaded: too many tokens wait");
}

void Service::cancel(const std::shared_ptr<Job>& job) {
  ++metrics_.n_disconnected;
  queue_.cancel(job);
}

void Service::finish(const Route& route, const Asked& asked, const Job& job,
                     Clock::time_point start, const Done& done) {
  Reply reply;
  try {
    reply = job_reply(route, asked, job, start);
  } catch (const RequestError& e) {
    reply = count_failure(route.family, e);
  } catch (const std::exception& e) {
    reply = count_failure(route.family, RequestError(Fault::kBug, "", e.what()));
  }
  done(std::move(reply), job.n_token);
}

Reply Service::job_reply(const Route& route, const Asked& asked, const Job& job,
                         Clock::time_point start) {
  if (job.fault) {
    const bool known = job.fault->text && *job.fault->text < asked.places.size();
    const std::string place = known ? asked.places[*job.fault->text] : "";
    throw RequestError(Fault::kBackend, place,
                       concat(place, place.empty() ? "" : ": ", job.fault->message));
  }
  Reply reply = asked.make(job);
  const auto now = Clock::now();
  metrics_.request_success.add(asked.single ? "single" : "batch");
  metrics_.request_duration.add(in_seconds(now - start));
  metrics_.queue_duration.add(in_seconds(job.started - job.submitted));
  metrics_.inference_duration.add(in_seconds(job.finished - job.started));
  if (route.family == Family::kTei)
    reply.headers = {{"x-compute-type", "cpu"},
                     {"x-compute-time", milliseconds(now - start)},
                     {"x-compute-characters", std::to_string(asked.n_char)},
                     {"x-compute-tokens", std::to_string(job.n_token)},
                     {"x-total-time", milliseconds(now - start)},
                     {"x-tokenization-time", milliseconds(job.submitted - start)},
                     {"x-queue-time", milliseconds(job.started - job.submitted)},
                     {"x-inference-time", milliseconds(job.finished - job.started)}};
  return reply;
}

Reply Service::answer(const Route& route, const std::string& parameter) const {
  switch (route.action) {
    case Action::kModels:
      return models_reply("");
    case Action::kModel:
      return models_reply(parameter);
    case Action::kInfo:
      return info_reply();
    case Action::kHealth:
    case Action::kLive:
      return {.body = R"({"status":"ok"})"};
    case Action::kMetrics:
      return {.body = metrics_text(), .type = route.type};
    case Action::kOpenApi:
      return {.body = openapi()};
    case Action::kDocs:
      return {.body = std::string(kDocsPage), .type = route.type};
    case Action::kPage:
      return {.body = std::string(kIndexPage), .type = route.type};
    default:
      break;
  }
  throw RequestError(Fault::kBug, "", "a route with a body");
}

std::string Service::metrics_text() const {
  return metrics_.text({queue_.n_waiting(), queue_.n_token()});
}

Reply Service::models_reply(const std::string& name) const {
  OrderedJson all = OrderedJson::array();
  for (const auto& m : models_) {
    OrderedJson one = {
        {"id", m->name}, {"object", "model"}, {"created", created_}, {"owned_by", "fathom"}};
    const Config& config = m->open.model.config();
    OrderedJson policies = OrderedJson::array();
    for (const NamedPolicy& p : m->policies) policies.push_back(p.name);
    OrderedJson prompts = OrderedJson::array();
    for (const NamedText& p : m->prompts) prompts.push_back(p.first);
    one["fathom"] = {{"version", std::string(name_of(config.version))},
                     {"n_layer", config.n_layer},
                     {"d_model", config.d_model},
                     {"n_vocab", config.n_vocab},
                     {"dtype", std::string(name_of(m->open.model.compute()))},
                     {"layer", m->name_of_layer(m->reading.layers[0])},
                     {"pooling", std::string(name_of(m->reading.pooling))},
                     {"policies", std::move(policies)},
                     {"prompts", std::move(prompts)}};
    if (m->name == name) return {.body = dump_json(one)};
    all.push_back(std::move(one));
  }
  if (!name.empty())
    throw RequestError(Fault::kNoModel, "model", concat("The model '", name, "' does not exist"));
  return {.body = dump_json(OrderedJson{{"object", "list"}, {"data", std::move(all)}})};
}

Reply Service::info_reply() const {
  const ServedModel& m = *models_[0];
  OrderedJson j;
  j["model_id"] = m.name;
  j["model_sha"] = nullptr;
  j["model_dtype"] = std::string(name_of(m.open.model.compute()));
  j["model_type"]["embedding"]["pooling"] = std::string(name_of(m.reading.pooling));
  j["max_concurrent_requests"] = options_.max_connections;
  j["max_input_length"] = options_.max_queued_tokens;
  j["max_batch_tokens"] = options_.batch_tokens;
  j["max_batch_requests"] = nullptr;
  j["max_client_batch_size"] = options_.max_client_batch;
  j["auto_truncate"] = false;
  j["tokenization_workers"] = options_.workers;
  j["version"] = FATHOM_VERSION;
  j["sha"] = nullptr;
  j["docker_label"] = nullptr;
  OrderedJson policies = OrderedJson::array(), prompts = OrderedJson::array();
  for (const NamedPolicy& p : m.policies)
    policies.push_back({{"name", p.name}, {"classifies", p.classifier != nullptr}});
  for (const NamedText& p : m.prompts) prompts.push_back(p.first);
  j["fathom"] = {{"n_layer", m.open.model.config().n_layer},
                 {"layer", m.name_of_layer(m.reading.layers[0])},
                 {"why", m.why},
                 {"rerank", m.reranker ? "state reranker" : "cosine"},
                 {"policies", std::move(policies)},
                 {"prompts", std::move(prompts)}};
  return {.body = dump_json(j)};
}

}  // namespace fathom::serve
