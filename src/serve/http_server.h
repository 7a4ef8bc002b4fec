// SPDX-License-Identifier: Apache-2.0
// HttpServer: accepts connections, limits their number, and shuts down in order.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "serve/service.h"
#include "serve/workers.h"

namespace fathom::serve {

class HttpServer {
 public:
  // All must outlive it, and be stopped before it goes: they tell its thread of replies. Throws
  // Error naming host, port or socket file: it cannot be opened.
  HttpServer(Service& service, Workers& workers, const ServeOptions& options);
  ~HttpServer();

  std::string address() const;  // "http://127.0.0.1:8080" or "unix:/run/fathom.sock"
  size_t port() const;          // that it got; 0 of a socket file

  // Until stop(), SIGTERM or SIGINT, and all that was accepted has been answered or drain_seconds
  // are over. Returns the number of connections that were cut off then. SIGHUP: `reload`. A second
  // SIGTERM or SIGINT ends the process, after `at_once`.
  size_t run(const std::function<void()>& reload, const std::function<void()>& at_once);
  void stop();  // any thread

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom::serve
