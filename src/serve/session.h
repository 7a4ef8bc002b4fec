// SPDX-License-Identifier: Apache-2.0
// One connection: a coroutine that reads requests, passes them on and writes the replies, within
// limits of time and size. Runs on the thread of the sockets.
#pragma once

// Boost 1.74's awaitable.hpp needs it in front.
#include <utility>
//
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <memory>
#include <string>

#include "serve/service.h"
#include "serve/workers.h"

namespace fathom::serve {

// What all connections share.
struct Shared {
  boost::asio::io_context& io;
  Service& service;
  Workers& workers;
  const ServeOptions& options;
  size_t n_buffered = 0;  // bytes of bodies, held or to come
  bool draining = false;
};

class Session {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  Session(Shared& shared, Socket socket);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Until either side is done; never throws.
  boost::asio::awaitable<void> run();
  // The server drains: ends now if nothing is under way, else after the next reply. fresh_ones:
  // also where no request has come yet.
  void drain(bool fresh_ones);

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  struct Wait;
  struct Deadline;

  boost::asio::awaitable<bool> read_first_bytes();
  boost::asio::awaitable<bool> exchange();
  boost::asio::awaitable<bool> read_body(Parser& parser, Family family);
  boost::asio::awaitable<void> answer(Parser& parser, const Found& found);
  boost::asio::awaitable<std::shared_ptr<Wait>> work(const Found& found, std::string body);
  boost::asio::awaitable<bool> write(Reply reply, size_t n_token = 0);
  boost::asio::awaitable<bool> refuse(Family family, Fault fault, const std::string& message);
  boost::asio::awaitable<void> linger();
  void watch(const std::shared_ptr<Wait>& wait);
  void add_cors(Reply& reply) const;
  bool preflight(const Parser& parser, Reply& reply) const;

  Shared& shared_;
  Socket socket_;
  std::shared_ptr<Deadline> deadline_;
  boost::beast::flat_buffer buffer_;
  bool is_idle_ = true, is_fresh_ = true;
  // Of the request that is answered.
  std::string method_, path_, origin_;
  unsigned version_ = 11;
  bool keep_alive_ = false, body_is_read_ = true;
  Clock::time_point start_;
};

}  // namespace fathom::serve
