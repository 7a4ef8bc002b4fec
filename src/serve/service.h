// SPDX-License-Identifier: Apache-2.0
// Service: answers requests without a socket. It has the routes, admission, the models and their
// engine.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/asked.h"
#include "serve/engine.h"
#include "serve/keys.h"
#include "serve/metrics.h"

namespace fathom::serve {

// Any thread may call any function but load().
class Service {
 public:
  // Runs a function on another thread than the caller's, which is the engine's.
  using Post = std::function<void(std::function<void()>)>;

  // Both must outlive it. Throws as Keys does.
  Service(const ServeOptions& options, Post post);
  // The engine first finishes the queue.
  ~Service();

  // Opens the models; ready() from then on. note: gets one line for each option that was changed.
  // Throws Error.
  void load(const std::function<void(const std::string&)>& note);
  bool ready() const { return ready_; }

  // Before a body is read: no key, not ready, or no room for more. nullopt: go on.
  std::optional<Reply> turn_away(const Route& route, std::string_view authorization);

  // Parses, tokenises and queues on the calling thread. `done` is called once, here or later,
  // unless the job that is returned is cancelled before. nullptr: it has been called.
  using Done = std::function<void(Reply, size_t n_token)>;
  std::shared_ptr<Job> start(const Route& route, const std::string& parameter,
                             std::string_view body, const Done& done);
  // The client no longer waits for it.
  void cancel(const std::shared_ptr<Job>& job);

  // Takes no further work. Returns when the queue is answered and the engine has ended. From one
  // thread.
  void stop();
  size_t n_token() const { return queue_.n_token(); }

  Metrics& metrics() { return metrics_; }
  Keys& keys() { return keys_; }
  const ServeOptions& options() const { return options_; }
  std::span<const std::unique_ptr<ServedModel>> models() const { return models_; }

 private:
  Reply answer(const Route& route, const std::string& parameter) const;
  std::string metrics_text() const;
  Reply models_reply(const std::string& name) const;
  Reply info_reply() const;
  void finish(const Route& route, const Asked& asked, const Job& job, Clock::time_point start,
              const Done& done);
  Reply job_reply(const Route& route, const Asked& asked, const Job& job, Clock::time_point start);
  Reply count_failure(Family family, const RequestError& error);
  std::shared_ptr<Job> queue(const Route& route, Asked asked, Clock::time_point start,
                             const Done& done);

  const ServeOptions& options_;
  Post post_;
  Keys keys_;
  Metrics metrics_;
  JobQueue queue_;
  std::vector<std::unique_ptr<ServedModel>> models_;
  std::unique_ptr<Engine> engine_;
  std::atomic<bool> ready_ = false;
  int64_t created_ = 0;  // seconds since 1970
};

}  // namespace fathom::serve
