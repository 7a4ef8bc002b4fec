// SPDX-License-Identifier: Apache-2.0
// A served model whose tokens are bytes, with policies, for tests of the server.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "depth/policy_file.h"
#include "encode/exit_rules.h"
#include "model/byte_model.h"
#include "serve/service.h"
#include "serve/workers.h"

namespace fathom::test {

// Writes an exit policy with three classes for the model; pair: it decides about pairs.
inline std::string write_exit_policy(const TempFolder& folder, const std::string& name,
                                     const std::string& model, bool pair) {
  const OpenModel open({.model = model});
  RuleMaker make(pair ? 3 : 4);
  PolicyFile file;
  file.model = fingerprint_of(open.model);
  ExitRule rule = make.rule(Measure::kMaxProbability, pair, 3, 24, {1, 2, 3});
  set_thresholds(rule, 0.5);
  file.rule = rule;
  file.fitted["classes"] = {"bad", "fair", "good"};
  const std::string path = folder.file(name);
  write_policy_file(path, file);
  return path;
}

// The service over such a model, and replies as if they came over a socket.
class TestService {
 public:
  explicit TestService(const std::function<void(serve::ServeOptions&)>& change = {}) {
    const std::string model = byte_model(folder_);
    options_.models = {{"tiny", model}};
    options_.threads = 1;
    options_.layer = "2";
    options_.policies = {{"shallow", "fixed:1"},
                         {"exit", write_exit_policy(folder_, "exit.policy", model, false)},
                         {"pair", write_exit_policy(folder_, "pair.policy", model, true)}};
    options_.prompts = {{"query", "Q: "}};
    if (change) change(options_);
    service_ = std::make_unique<serve::Service>(
        options_, [this](std::function<void()> task) { workers_.post(std::move(task)); });
    service_->load({});
  }

  serve::Service& service() { return *service_; }
  void stop() {
    service_->stop();
    workers_.stop();
  }
  const serve::ServeOptions& options() const { return options_; }
  std::string model_path() const { return options_.models[0].second; }

  serve::Reply call(const std::string& method, const std::string& target,
                    const std::string& body = "") {
    const serve::Found found = serve::find_route(method, target);
    FATHOM_REQUIRE(found.route, "no route ", method, " ", target);
    if (auto away = service_->turn_away(*found.route, "")) return *away;
    std::mutex mutex;
    std::condition_variable ready;
    std::optional<serve::Reply> reply;
    service_->start(*found.route, found.parameter, body, [&](serve::Reply r, size_t) {
      const std::lock_guard lock(mutex);
      reply = std::move(r);
      ready.notify_all();
    });
    std::unique_lock lock(mutex);
    ready.wait(lock, [&] { return reply.has_value(); });
    return *reply;
  }
  serve::Reply post(const std::string& target, const std::string& body) {
    return call("POST", target, body);
  }
  Json post_ok(const std::string& target, const std::string& body) {
    const serve::Reply reply = post(target, body);
    FATHOM_REQUIRE(reply.status == 200, target, " gave ", reply.status, ": ", reply.body);
    return parse_json(reply.body);
  }

 private:
  TempFolder folder_;
  serve::ServeOptions options_;
  serve::Workers workers_{1};
  std::unique_ptr<serve::Service> service_;
};

}  // namespace fathom::test
