// SPDX-License-Identifier: Apache-2.0
// The server on loopback: what clients may do to a connection, limits, and the end.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "serve/http_server.h"
#include "serve/serve_models.h"

namespace fathom::test::http_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Server {
 public:
  explicit Server(const std::function<void(serve::ServeOptions&)>& change = {})
      : service_([&](serve::ServeOptions& o) {
          o.port = 0;
          if (change) change(o);
        }),
        server_(service_.service(), workers_, service_.options()),
        thread_([this] { n_cut_ = server_.run([this] { ++n_reload_; }, [] {}); }) {}
  ~Server() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
    service_.stop();
    workers_.stop();
  }

  size_t port() const { return server_.port(); }
  std::string address() const { return server_.address(); }
  TestService& service() { return service_; }
  void stop() { server_.stop(); }
  size_t join() {
    thread_.join();
    return n_cut_;
  }

 private:
  TestService service_;
  serve::Workers workers_{2};
  serve::HttpServer server_;
  std::atomic<size_t> n_cut_ = 0, n_reload_ = 0;
  std::jthread thread_;
};

class Client {
 public:
  explicit Client(size_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    connect(reinterpret_cast<const ::sockaddr*>(&address), sizeof(address));
  }
  explicit Client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    ::sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    connect(reinterpret_cast<const ::sockaddr*>(&address), sizeof(address));
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { ::close(socket_); }

  void send(const std::string& bytes) {
    size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t n = ::send(socket_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<size_t>(n);
    }
  }
  // One response: its header and body.
  std::string response(bool has_body = true) {
    while (rest_.find("\r\n\r\n") == std::string::npos)
      if (!more()) return take(rest_.size());
    const size_t header = rest_.find("\r\n\r\n") + 4;
    const size_t at = rest_.find("Content-Length: ");
    const size_t n = has_body && at < header ? std::stoul(rest_.substr(at + 16)) : 0;
    while (rest_.size() < header + n)
      if (!more()) break;
    return take(std::min(rest_.size(), header + n));
  }
  bool is_closed() { return rest_.empty() && !more(); }

 private:
  void connect(const ::sockaddr* address, ::socklen_t size) {
    FATHOM_REQUIRE(::connect(socket_, address, size) == 0, "cannot connect");
  }
  bool more() {
    char bytes[8192];
    const ssize_t n = ::recv(socket_, bytes, sizeof(bytes), 0);
    if (n > 0) rest_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }
  std::string take(size_t n) {
    std::string out = rest_.substr(0, n);
    rest_.erase(0, n);
    return out;
  }

  int socket_;
  std::string rest_;
};

std::string post(const std::string& target, const std::string& body,
                 const std::string& headers = "") {
  return concat("POST ", target, " HTTP/1.1\r\nHost: x\r\n", headers,
                "Content-Length: ", body.size(), "\r\n\r\n", body);
}
std::string get(const std::string& target, const std::string& headers = "") {
  return concat("GET ", target, " HTTP/1.1\r\nHost: x\r\n", headers, "\r\n");
}

constexpr const char* kOk = "HTTP/1.1 200 OK";
const std::string kBody = R"({"inputs": "Hello"})";

TEST(Http, KeepsConnectionsAndAnswersPipelinedRequestsInOrder) {
  Server server;
  const std::string expected = server.service().post("/embed", kBody).body;
  Client client(server.port());
  client.send(post("/embed", kBody) + get("/health") + post("/embed", kBody));
  EXPECT_THAT(client.response(), HasSubstr(expected));
  EXPECT_THAT(client.response(), HasSubstr(R"({"status":"ok"})"));
  EXPECT_THAT(client.response(), HasSubstr(expected));
  client.send(get("/health", "Connection: close\r\n"));
  EXPECT_THAT(client.response(), StartsWith(kOk));
  EXPECT_TRUE(client.is_closed());
}

TEST(Http, TakesChunkedBodiesAndWaitsForGoAhead) {
  Server server;
  const std::string expected = server.service().post("/embed", kBody).body;
  Client client(server.port());
  client.send("POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.send(concat("5\r\n", kBody.substr(0, 5), "\r\n"));
  client.send(concat("e\r\n", kBody.substr(5), "\r\n0\r\n\r\n"));
  EXPECT_THAT(client.response(), HasSubstr(expected));
  client.send(concat("POST /embed HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ",
                     kBody.size(), "\r\n\r\n"));
  EXPECT_EQ(client.response(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(kBody);
  EXPECT_THAT(client.response(), HasSubstr(expected));
}

TEST(Http, RefusesBeforeTheBodyIsRead) {
  Server server([](serve::ServeOptions& o) {
    o.max_request_bytes = 1024;
    o.max_buffered_bytes = 1024;
  });
  const auto answer = [&](const std::string& request) {
    Client client(server.port());
    client.send(request);
    return client.response();
  };
  // No byte of the body is sent.
  EXPECT_THAT(answer("POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"),
              testing::AllOf(StartsWith("HTTP/1.1 413"), HasSubstr("error_type")));
  EXPECT_THAT(answer(concat("POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                            "800\r\n", std::string(2048, 'x'))),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(answer("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer(get("/", concat("X: ", std::string(20000, 'x'), "\r\n"))),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer(get("/embed")),
              testing::AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("Allow: POST")));
  EXPECT_THAT(answer(get("/nothing")), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(answer(post("/embed", kBody, "Content-Encoding: gzip\r\n")),
              StartsWith("HTTP/1.1 415"));
  EXPECT_THAT(answer(post("/embed", kBody)), StartsWith(kOk));
}

TEST(Http, ABodyThatIsUnderWayTakesRoomFromOthers) {
  Server server([](serve::ServeOptions& o) {
    o.max_request_bytes = 1024;
    o.max_buffered_bytes = 1024;
  });
  Client slow(server.port());
  slow.send(
      "POST /embed HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1020\r\n\r\n");
  EXPECT_THAT(slow.response(), HasSubstr("100 Continue"));
  Client other(server.port());
  other.send(post("/embed", kBody));
  EXPECT_THAT(other.response(),
              testing::AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("Retry-After")));
}

TEST(Http, TellsThoseThatAreTooMany) {
  Server server([](serve::ServeOptions& o) { o.max_connections = 1; });
  Client first(server.port());
  first.send(get("/health"));
  EXPECT_THAT(first.response(), StartsWith(kOk));
  Client second(server.port());
  EXPECT_THAT(second.response(),
              testing::AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("Retry-After")));
}

TEST(Http, SlowClientsAreEnded) {
  Server server([](serve::ServeOptions& o) { o.header_seconds = o.body_seconds = 1; });
  Client header(server.port()), body(server.port());
  header.send("GET / HT");
  body.send("POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
  EXPECT_THAT(header.response(), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(body.response(), StartsWith("HTTP/1.1 408"));
}

TEST(Http, AClientThatLeavesTakesItsWorkAlong) {
  Server server([](serve::ServeOptions& o) { o.batch_tokens = 16; });
  {
    Client client(server.port());
    client.send(post("/embed", concat(R"({"inputs": ")", std::string(400000, 'x'), R"("})")));
    while (server.service().service().n_token() == 0) std::this_thread::yield();
  }
  while (server.service().service().n_token() > 0) std::this_thread::yield();
  EXPECT_EQ(server.service().service().metrics().n_disconnected, 1u);
}

TEST(Http, KeysCorsAndHead) {
  const TempFolder folder;
  const std::string keys = folder.write("keys", "secret\n");
  Server server([&](serve::ServeOptions& o) {
    o.api_key_file = keys;
    o.cors = {"https://a.example"};
  });
  Client client(server.port());
  client.send(get("/info"));
  EXPECT_THAT(client.response(), StartsWith("HTTP/1.1 401"));
  client.send(get("/info", "Authorization: Bearer secret\r\nOrigin: https://a.example\r\n"));
  EXPECT_THAT(
      client.response(),
      testing::AllOf(StartsWith(kOk), HasSubstr("Access-Control-Allow-Origin: https://a.example")));
  client.send(get("/health", "Origin: https://b.example\r\n"));
  EXPECT_THAT(client.response(), testing::Not(HasSubstr("Access-Control")));
  client.send(
      "OPTIONS /embed HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  EXPECT_THAT(client.response(), StartsWith("HTTP/1.1 204"));
  client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.response(false), HasSubstr("Content-Length: "));
  client.send(get("/"));
  EXPECT_THAT(client.response(), HasSubstr("<!doctype html>"));
}

TEST(Http, DrainAnswersWhatIsUnderWayAndEndsTheRest) {
  Server server([](serve::ServeOptions& o) { o.batch_tokens = 16; });
  Client busy(server.port()), idle(server.port()), fresh(server.port());
  idle.send(get("/health"));
  EXPECT_THAT(idle.response(), StartsWith(kOk));
  busy.send(post("/embed", concat(R"({"inputs": ")", std::string(3000, 'x'), R"("})")));
  while (server.service().service().n_token() == 0) std::this_thread::yield();
  server.stop();
  fresh.send(get("/health"));
  EXPECT_THAT(busy.response(), testing::AllOf(StartsWith(kOk), HasSubstr("Connection: close")));
  EXPECT_TRUE(busy.is_closed());
  EXPECT_TRUE(idle.is_closed());
  EXPECT_THAT(fresh.response(), StartsWith(kOk));
  EXPECT_EQ(server.join(), 0u);
}

TEST(Http, ListensAtASocketFile) {
  const TempFolder folder;
  const std::string path = folder.file("s.sock");
  {
    Server server([&](serve::ServeOptions& o) { o.unix_socket = path; });
    EXPECT_EQ(server.address(), "unix:" + path);
    Client client(path);
    client.send(post("/embed", kBody));
    EXPECT_THAT(client.response(), StartsWith(kOk));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Http, NamesAnAddressThatCannotBe) {
  serve::ServeOptions options;
  options.host = "256.256.256.256";
  serve::Workers workers(1);
  serve::Service service(options, [](std::function<void()>) {});
  EXPECT_THAT([&] { serve::HttpServer(service, workers, options); },
              testing::ThrowsMessage<Error>(HasSubstr("256.256.256.256")));
}

}  // namespace
}  // namespace fathom::test::http_test
