// SPDX-License-Identifier: Apache-2.0
#include "serve/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <set>

#include "serve/session.h"
// Behind session.h, which has what Boost 1.74 needs in front.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "serve/log.h"

namespace fathom::serve {
namespace {

namespace net = boost::asio;
using Failure = boost::system::error_code;
using Generic = net::generic::stream_protocol;
using Acceptor = net::basic_socket_acceptor<Generic>;

// As many descriptors as the system lets this process have.
void raise_descriptor_limit() {
  ::rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void open_acceptor(Acceptor& acceptor, const Generic::endpoint& endpoint, bool reuse,
                   const std::string& name) {
  Failure e;
  acceptor.open(endpoint.protocol(), e);
  if (!e && reuse) acceptor.set_option(net::socket_base::reuse_address(true), e);
  if (!e) acceptor.bind(endpoint, e);
  if (!e) acceptor.listen(4096, e);
  FATHOM_REQUIRE(!e, name, ": cannot listen: ", e.message());
  acceptor.non_blocking(true);
}

bool is_socket_file(const std::string& path) {
  struct ::stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

}  // namespace

struct HttpServer::Impl {
  Impl(Service& service, Workers& workers, const ServeOptions& o)
      : shared{io, service, workers, o}, options(o), acceptor(io), signals(io), timer(io) {}

  void open_tcp();
  void open_unix();
  net::awaitable<void> accept();
  net::awaitable<void> serve(Session::Socket socket);
  net::awaitable<void> refuse(Session::Socket socket);
  void take(Session::Socket socket);
  void wait_for_signal(const std::function<void()>& reload, const std::function<void()>& at_once);
  void drain();
  void drain_sessions(bool fresh_ones);
  void close_when_done();

  net::io_context io{1};
  Shared shared;
  const ServeOptions& options;
  Acceptor acceptor;
  net::signal_set signals;
  net::steady_timer timer;
  std::set<Session*> sessions;
  size_t n_refused = 0;  // connections beyond the limit, which get 429 and end
  size_t port = 0;
};

void HttpServer::Impl::open_tcp() {
  Failure e;
  const std::string name = concat("host ", options.host, ", port ", options.port);
  net::ip::tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, std::to_string(options.port), e);
  FATHOM_REQUIRE(!e && found.begin() != found.end(), name, ": no such address: ", e.message());
  open_acceptor(acceptor, found.begin()->endpoint(), true, name);
  ::sockaddr_storage address{};
  ::socklen_t size = sizeof(address);
  FATHOM_REQUIRE(
      ::getsockname(acceptor.native_handle(), reinterpret_cast<::sockaddr*>(&address), &size) == 0,
      name, ": cannot tell the port");
  net::ip::tcp::endpoint local;
  local.resize(size);
  std::memcpy(local.data(), &address, size);
  port = local.port();
}

void HttpServer::Impl::open_unix() {
  // One that an earlier process left. What is no socket is not touched.
  if (is_socket_file(options.unix_socket)) ::unlink(options.unix_socket.c_str());
  constexpr size_t kLongest = 107;
  FATHOM_REQUIRE(options.unix_socket.size() <= kLongest, options.unix_socket,
                 ": expected a path of at most ", kLongest, " bytes for a socket");
  open_acceptor(acceptor, net::local::stream_protocol::endpoint(options.unix_socket), false,
                options.unix_socket);
}

net::awaitable<void> HttpServer::Impl::accept() {
  while (acceptor.is_open()) {
    Failure e;
    Session::Socket socket =
        co_await acceptor.async_accept(net::redirect_error(net::use_awaitable, e));
    if (!e) {
      take(std::move(socket));
      continue;
    }
    if (!acceptor.is_open()) break;
    // No descriptor is left, for example: others will become free.
    log(LogLevel::kWarning, concat("cannot accept a connection: ", e.message()));
    net::steady_timer pause(io, std::chrono::milliseconds(100));
    co_await pause.async_wait(net::redirect_error(net::use_awaitable, e));
  }
}

void HttpServer::Impl::take(Session::Socket socket) {
  constexpr size_t kMostRefused = 64;
  if (sessions.size() < options.max_connections) {
    const int on = 1;
    if (options.unix_socket.empty())
      ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    net::co_spawn(io, serve(std::move(socket)), net::detached);
  } else if (n_refused < kMostRefused) {
    net::co_spawn(io, refuse(std::move(socket)), net::detached);
  }
}

net::awaitable<void> HttpServer::Impl::serve(Session::Socket socket) {
  auto session = std::make_unique<Session>(shared, std::move(socket));
  sessions.insert(session.get());
  shared.service.metrics().n_connection = sessions.size();
  co_await session->run();
  sessions.erase(session.get());
  shared.service.metrics().n_connection = sessions.size();
  if (shared.draining) close_when_done();
}

// Too many are open: says so to this one, whatever it wants.
net::awaitable<void> HttpServer::Impl::refuse(Session::Socket socket) {
  ++n_refused;
  shared.service.metrics().rejected.add("connections");
  const Reply reply = error_reply(
      Family::kOpenAi, RequestError(Fault::kOverloaded, "", "too many connections are open"));
  const std::string text = concat(
      "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n",
      "Connection: close\r\nContent-Length: ", reply.body.size(), "\r\n\r\n", reply.body);
  Failure e;
  co_await net::async_write(socket, net::buffer(text), net::redirect_error(net::use_awaitable, e));
  socket.shutdown(net::socket_base::shutdown_send, e);
  // A moment for the request to come: else closing would take the reply away.
  net::steady_timer pause(io, std::chrono::milliseconds(200));
  co_await pause.async_wait(net::redirect_error(net::use_awaitable, e));
  char bytes[4096];
  while (::recv(socket.native_handle(), bytes, sizeof(bytes), MSG_DONTWAIT) > 0) continue;
  --n_refused;
}

void HttpServer::Impl::wait_for_signal(const std::function<void()>& reload,
                                       const std::function<void()>& at_once) {
  signals.async_wait([this, &reload, &at_once](const Failure& e, int signal) {
    if (e) return;
    if (signal == SIGHUP) {
      reload();
    } else if (shared.draining) {
      at_once();
      ::_exit(128 + signal);
    } else {
      drain();
    }
    wait_for_signal(reload, at_once);
  });
}

void HttpServer::Impl::drain_sessions(bool fresh_ones) {
  for (Session* session : sessions) session->drain(fresh_ones);
}

void HttpServer::Impl::drain() {
  if (shared.draining) return;
  shared.draining = true;
  log(LogLevel::kInfo, concat("shutting down: ", sessions.size(), " connections are open, ",
                              shared.service.n_token(), " tokens wait"));
  // Those that the system has accepted for us already.
  Failure e;
  for (;;) {
    Session::Socket socket(io);
    acceptor.accept(socket, e);
    if (e) break;
    take(std::move(socket));
  }
  acceptor.close(e);
  drain_sessions(false);
  timer.expires_after(std::chrono::seconds(std::min<size_t>(1, options.drain_seconds)));
  timer.async_wait([this](const Failure& error) {
    if (error) return;
    drain_sessions(true);
    timer.expires_after(std::chrono::seconds(options.drain_seconds));
    timer.async_wait([this](const Failure& late) {
      if (!late) io.stop();
    });
  });
  close_when_done();
}

void HttpServer::Impl::close_when_done() {
  if (!sessions.empty()) return;
  // A connection that was taken a moment ago has not begun yet.
  net::post(io, [this] {
    if (!sessions.empty() || acceptor.is_open()) return;
    timer.cancel();
    signals.cancel();
    io.stop();
  });
}

HttpServer::HttpServer(Service& service, Workers& workers, const ServeOptions& options)
    : impl_(std::make_unique<Impl>(service, workers, options)) {
  raise_descriptor_limit();
  if (options.unix_socket.empty())
    impl_->open_tcp();
  else
    impl_->open_unix();
}

HttpServer::~HttpServer() {
  if (!impl_->options.unix_socket.empty()) ::unlink(impl_->options.unix_socket.c_str());
}

std::string HttpServer::address() const {
  const ServeOptions& o = impl_->options;
  if (!o.unix_socket.empty()) return concat("unix:", o.unix_socket);
  const bool is_v6 = o.host.find(':') != std::string::npos;
  return concat("http://", is_v6 ? "[" : "", o.host, is_v6 ? "]" : "", ":", impl_->port);
}

size_t HttpServer::port() const { return impl_->port; }

size_t HttpServer::run(const std::function<void()>& reload, const std::function<void()>& at_once) {
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) impl_->signals.add(signal);
  impl_->wait_for_signal(reload, at_once);
  net::co_spawn(impl_->io, impl_->accept(), net::detached);
  impl_->io.run();
  return impl_->sessions.size();
}

void HttpServer::stop() {
  net::post(impl_->io, [impl = impl_.get()] { impl->drain(); });
}

}  // namespace fathom::serve
