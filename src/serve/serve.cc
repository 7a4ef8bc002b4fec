// SPDX-License-Identifier: Apache-2.0
#include "serve/serve.h"

#include <atomic>
#include <cstdlib>
#include <exception>
#include <thread>

#include "base/error.h"
#include "base/temporaries.h"
#include "serve/http_server.h"
#include "serve/log.h"

namespace fathom::serve {
namespace {

void tell_opened(const HttpServer& server, const Service& service) {
  log(LogLevel::kInfo,
      concat("listening at ", server.address(),
             service.options().api_key_file.empty() ? ", no keys" : ", with keys"));
}

// On a thread of its own, so that the server says meanwhile that it is not ready.
void load_models(Service& service, HttpServer& server, std::exception_ptr& failure,
                 std::atomic<bool>& loaded) {
  const auto start = Clock::now();
  try {
    service.load([](const std::string& note) { log(LogLevel::kInfo, note); });
    for (const auto& model : service.models())
      log(LogLevel::kInfo,
          concat("model ", model->name, ": layer ", model->name_of_layer(model->reading.layers[0]),
                 ", ", name_of(model->reading.pooling), " pooling, ", model->why));
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    log(LogLevel::kInfo, concat("ready after ", seconds, " s"));
  } catch (...) {
    failure = std::current_exception();
    loaded = true;
    server.stop();
  }
}

}  // namespace

void serve(const ServeOptions& options) {
  start_log(options.log_format, options.log_level);
  Workers workers(options.workers);
  Service service(options, [&](std::function<void()> task) { workers.post(std::move(task)); });
  HttpServer server(service, workers, options);
  tell_opened(server, service);
  std::exception_ptr failure;  // the loading thread's, until it has ended
  std::atomic<bool> loaded = false;
  std::jthread loading([&] {
    load_models(service, server, failure, loaded);
    loaded = true;
  });
  const size_t n_cut = server.run(
      [&] {
        try {
          service.keys().reload();
          log(LogLevel::kInfo, concat("read keys again: ", service.keys().size()));
        } catch (const std::exception& e) {
          log(LogLevel::kError, concat("keys stay as they are: ", e.what()));
        }
      },
      [] { remove_temporaries(); });
  if (!loaded) {
    // Opening a model cannot be broken off, and nobody waits for it.
    remove_temporaries();
    std::_Exit(0);
  }
  loading.join();
  // What they still do for clients that have left ends while there is a server to tell.
  if (n_cut == 0) {
    service.stop();
    workers.stop();
  }
  if (failure) std::rethrow_exception(failure);
  if (n_cut > 0) {
    log(LogLevel::kWarning, concat(n_cut, " connections were cut off after drain_seconds"));
    std::_Exit(0);
  }
  log(LogLevel::kInfo, "bye");
}

}  // namespace fathom::serve
