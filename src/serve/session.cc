// SPDX-License-Identifier: Apache-2.0
#include "serve/session.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include "serve/log.h"

namespace fathom::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;

constexpr size_t kHeaderBytes = 16 << 10;

std::string text_of(beast::string_view text) { return {text.data(), text.size()}; }

// Gives back the bytes that it has reserved.
class Reservation {
 public:
  explicit Reservation(size_t& total) : total_(total) {}
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation() { total_ -= n_; }
  bool take(size_t n, size_t max) {
    if (total_ + n > max) return false;
    total_ += n;
    n_ += n;
    return true;
  }

 private:
  size_t& total_;
  size_t n_ = 0;
};

// Whether the other side has closed, seen without taking anything.
bool has_left(int descriptor) {
  char byte;
  return ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

Fault fault_of(const ErrorCode& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return Fault::kHeader;
  if (error == http::error::body_limit) return Fault::kTooLarge;
  if (error == beast::error::timeout) return Fault::kTimeout;
  return Fault::kMalformed;
}

const char* message_of(Fault fault) {
  switch (fault) {
    case Fault::kHeader:
      return "the header is too long";
    case Fault::kTooLarge:
      return "the body has more bytes than a request may have";
    case Fault::kTimeout:
      return "the request did not come in time";
    default:
      return "this is not a request of HTTP/1.1";
  }
}

// No reply can be written after these.
bool is_over(const ErrorCode& error) {
  return error == http::error::end_of_stream || error == asio::error::operation_aborted ||
         error == asio::error::connection_reset || error == asio::error::eof ||
         error == asio::error::broken_pipe || error == http::error::partial_message;
}

}  // namespace

// The reply to come, on its way from workers and engine.
struct Session::Wait {
  explicit Wait(asio::io_context& io) : timer(io, Clock::time_point::max()) {}
  asio::steady_timer timer;  // cancelled when something has happened
  std::optional<Reply> reply;
  std::shared_ptr<Job> job;
  size_t n_token = 0;
  bool gone = false;  // the client
};

// Ends what is under way on the socket when time is over. Beast's own would close it, and no reply
// could say why.
struct Session::Deadline : std::enable_shared_from_this<Session::Deadline> {
  Deadline(asio::io_context& io, Socket& of) : timer(io), socket(&of) {}

  void start(size_t seconds) {
    passed = false;
    timer.expires_after(std::chrono::seconds(seconds));
    // One that has passed already may still be on its way here.
    timer.async_wait([self = shared_from_this(), mine = ++number](const ErrorCode& error) {
      if (error || !self->socket || mine != self->number) return;
      self->passed = true;
      ErrorCode ignored;
      self->socket->cancel(ignored);
    });
  }
  void stop() {
    ++number;
    timer.cancel();
  }
  // What an operation under this deadline ended with.
  ErrorCode ended(const ErrorCode& error) const {
    return error && passed ? make_error_code(beast::error::timeout) : error;
  }

  asio::steady_timer timer;
  Socket* socket;  // nullptr: it is gone
  size_t number = 0;
  bool passed = false;
};

Session::Session(Shared& shared, Socket socket)
    : shared_(shared),
      socket_(std::move(socket)),
      deadline_(std::make_shared<Deadline>(shared.io, socket_)),
      buffer_(kHeaderBytes + (64 << 10)) {}

Session::~Session() {
  deadline_->stop();
  deadline_->socket = nullptr;
}

void Session::drain(bool fresh_ones) {
  keep_alive_ = false;
  ErrorCode ignored;
  // A client that has just connected, or whose request is here, is answered.
  if (is_idle_ && (!is_fresh_ || fresh_ones) && socket_.available(ignored) == 0)
    socket_.shutdown(asio::socket_base::shutdown_both, ignored);
}

asio::awaitable<void> Session::run() {
  try {
    while (co_await read_first_bytes())
      if (!co_await exchange()) break;
  } catch (const std::exception& e) {
    log(LogLevel::kDebug, concat("a connection ended: ", e.what()));
  }
  ErrorCode ignored;
  socket_.close(ignored);
}

// Waits for a request to begin, unless it is here already.
asio::awaitable<bool> Session::read_first_bytes() {
  if (buffer_.size() > 0) co_return true;
  is_idle_ = true;
  const size_t wait = shared_.draining ? 1
                      : is_fresh_      ? shared_.options.header_seconds
                                       : shared_.options.idle_seconds;
  deadline_->start(wait);
  ErrorCode error;
  const size_t n = co_await socket_.async_read_some(
      buffer_.prepare(4096), asio::redirect_error(asio::use_awaitable, error));
  buffer_.commit(n);
  is_idle_ = is_fresh_ = false;
  co_return !error && n > 0;
}

// One request and its reply; whether another may follow.
asio::awaitable<bool> Session::exchange() {
  start_ = Clock::now();
  Parser parser;
  parser.header_limit(kHeaderBytes);
  parser.body_limit(shared_.options.max_request_bytes);
  deadline_->start(shared_.options.header_seconds);
  method_ = path_ = origin_ = "";
  version_ = 11;
  keep_alive_ = false;
  body_is_read_ = false;
  ErrorCode error;
  co_await http::async_read_header(socket_, buffer_, parser,
                                   asio::redirect_error(asio::use_awaitable, error));
  error = deadline_->ended(error);
  if (is_over(error)) co_return false;
  const auto& request = parser.get();
  const std::string target = text_of(request.target());
  method_ = text_of(request.method_string());
  constexpr size_t kShown = 200;  // in the log
  path_ = target.substr(0, std::min(target.find('?'), kShown));
  origin_ = text_of(request[http::field::origin]);
  const Family family = family_of(target);
  if (error) {
    const Fault fault = fault_of(error);
    co_return co_await refuse(family, fault, message_of(fault));
  }
  version_ = request.version();
  keep_alive_ = request.keep_alive() && !shared_.draining;
  body_is_read_ = parser.is_done();
  const Found found = find_route(method_, target);
  if (Reply reply; preflight(parser, reply)) co_return co_await write(std::move(reply));
  if (!found.route && !found.allowed.empty()) {
    Reply reply = error_reply(
        family, RequestError(Fault::kMethod, "", concat(path_, ": expected ", found.allowed)));
    reply.headers.emplace_back("Allow", found.allowed);
    co_return co_await write(std::move(reply));
  }
  if (!found.route) co_return co_await refuse(family, Fault::kNotFound, "there is no such route");
  auto away = shared_.service.turn_away(*found.route, text_of(request[http::field::authorization]));
  if (away) co_return co_await write(std::move(*away));
  co_await answer(parser, found);
  co_return keep_alive_;
}

// Limits before the body, the body, the work, the reply.
asio::awaitable<void> Session::answer(Parser& parser, const Found& found) {
  const Family family = found.route->family;
  Reservation reserved(shared_.n_buffered);
  const auto length = parser.content_length();
  const size_t n_byte = length             ? static_cast<size_t>(*length)
                        : parser.chunked() ? shared_.options.max_request_bytes
                                           : 0;
  if (!reserved.take(n_byte, shared_.options.max_buffered_bytes)) {
    shared_.service.metrics().rejected.add("buffered_bytes");
    co_await refuse(family, Fault::kOverloaded, "too many bodies are under way");
    co_return;
  }
  const std::string encoding = text_of(parser.get()[http::field::content_encoding]);
  if (!encoding.empty() && encoding != "identity") {
    co_await refuse(family, Fault::kEncoding, "content-encoding: expected none");
    co_return;
  }
  if (!co_await read_body(parser, family)) {
    keep_alive_ = false;
    co_return;
  }
  const std::shared_ptr<Wait> wait = co_await work(found, std::move(parser.get().body()));
  if (wait->gone) {
    keep_alive_ = false;
    co_return;
  }
  const size_t n_token = wait->n_token;
  Reply reply = std::move(*wait->reply);
  co_await write(std::move(reply), n_token);
}

asio::awaitable<bool> Session::read_body(Parser& parser, Family family) {
  if (parser.is_done()) co_return true;
  ErrorCode error;
  const std::string expect = text_of(parser.get()[http::field::expect]);
  if (beast::iequals(expect, "100-continue")) {
    static constexpr std::string_view kGoOn = "HTTP/1.1 100 Continue\r\n\r\n";
    deadline_->start(shared_.options.write_seconds);
    co_await asio::async_write(socket_, asio::buffer(kGoOn.data(), kGoOn.size()),
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return false;
  }
  deadline_->start(shared_.options.body_seconds);
  co_await http::async_read(socket_, buffer_, parser,
                            asio::redirect_error(asio::use_awaitable, error));
  error = deadline_->ended(error);
  body_is_read_ = !error;
  if (!error) co_return true;
  if (is_over(error)) co_return false;
  const Fault fault = fault_of(error);
  co_await refuse(family, fault, message_of(fault));
  co_return false;
}

asio::awaitable<std::shared_ptr<Session::Wait>> Session::work(const Found& found,
                                                              std::string body) {
  const auto wait = std::make_shared<Wait>(shared_.io);
  Service& service = shared_.service;
  const Route& route = *found.route;
  if (!route.is_post()) {
    service.start(route, found.parameter, "",
                  [&](Reply reply, size_t) { wait->reply = std::move(reply); });
    co_return wait;
  }
  asio::io_context& io = shared_.io;
  shared_.workers.post(
      [wait, &io, &service, &route, parameter = found.parameter, body = std::move(body)] {
        const auto job = service.start(route, parameter, body, [wait, &io](Reply reply, size_t n) {
          asio::post(io, [wait, n, reply = std::move(reply)]() mutable {
            wait->reply = std::move(reply);
            wait->n_token = n;
            wait->timer.cancel();
          });
        });
        if (job)
          asio::post(io, [wait, job, &service] {
            // A job knows whom to tell: whoever it is does not keep it longer than it runs.
            if (wait->gone)
              service.cancel(job);
            else if (!wait->reply)
              wait->job = job;
          });
      });
  deadline_->stop();
  watch(wait);
  ErrorCode error;
  while (!wait->reply && !wait->gone)
    co_await wait->timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  socket_.cancel(error);
  wait->job.reset();
  co_return wait;
}

// Takes the work back when the client leaves. What it sends meanwhile stays where it is.
void Session::watch(const std::shared_ptr<Wait>& wait) {
  const int descriptor = socket_.native_handle();
  socket_.async_wait(asio::socket_base::wait_read,
                     [wait, descriptor, &service = shared_.service](const ErrorCode& error) {
                       if (error || wait->reply || !has_left(descriptor)) return;
                       wait->gone = true;
                       if (wait->job) service.cancel(wait->job);
                       wait->timer.cancel();
                     });
}

asio::awaitable<bool> Session::refuse(Family family, Fault fault, const std::string& message) {
  co_return co_await write(error_reply(family, RequestError(fault, "", message)));
}

asio::awaitable<bool> Session::write(Reply reply, size_t n_token) {
  add_cors(reply);
  // The rest of a body that was not read would be taken for the next request.
  keep_alive_ = keep_alive_ && body_is_read_ && !shared_.draining;
  http::response<http::string_body> response(static_cast<http::status>(reply.status), version_);
  response.set(http::field::server, "fathom");
  response.set(http::field::content_type, reply.type);
  for (const auto& [name, value] : reply.headers) response.set(name, value);
  response.keep_alive(keep_alive_);
  response.body() = std::move(reply.body);
  if (reply.status != 204) response.prepare_payload();
  if (method_ == "HEAD") response.body().clear();
  deadline_->start(shared_.options.write_seconds);
  ErrorCode error;
  http::response_serializer<http::string_body> serializer(response);
  if (method_ == "HEAD")
    co_await http::async_write_header(socket_, serializer,
                                      asio::redirect_error(asio::use_awaitable, error));
  else
    co_await http::async_write(socket_, serializer,
                               asio::redirect_error(asio::use_awaitable, error));
  shared_.service.metrics().responses.add(std::to_string(reply.status));
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  log_request({method_, path_, reply.status, seconds, n_token});
  if (error) keep_alive_ = false;
  if (!error && !keep_alive_ && !body_is_read_) co_await linger();
  co_return keep_alive_;
}

// Reads on for a moment: closing with unread bytes would take the reply away from the client.
asio::awaitable<void> Session::linger() {
  ErrorCode error;
  socket_.shutdown(asio::socket_base::shutdown_send, error);
  deadline_->start(1);
  char bytes[4096];
  for (size_t n = 0; !error && n < (1 << 20);)
    n += co_await socket_.async_read_some(asio::buffer(bytes),
                                          asio::redirect_error(asio::use_awaitable, error));
}

void Session::add_cors(Reply& reply) const {
  const auto& allowed = shared_.options.cors;
  if (allowed.empty() || origin_.empty()) return;
  const bool any = std::ranges::find(allowed, "*") != allowed.end();
  if (!any && std::ranges::find(allowed, origin_) == allowed.end()) return;
  reply.headers.emplace_back("Access-Control-Allow-Origin", any ? "*" : origin_);
  reply.headers.emplace_back("Vary", "Origin");
}

// A browser's question before a request of another origin.
bool Session::preflight(const Parser& parser, Reply& reply) const {
  const auto& request = parser.get();
  if (request.method() != http::verb::options || shared_.options.cors.empty() ||
      request[http::field::access_control_request_method].empty())
    return false;
  reply = {.status = 204, .body = {}};
  reply.headers = {{"Access-Control-Allow-Methods", "GET, POST"},
                   {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
                   {"Access-Control-Max-Age", "600"}};
  return true;
}

}  // namespace fathom::serve
