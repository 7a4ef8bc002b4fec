// SPDX-License-Identifier: Apache-2.0
// A connection's bytes from any bytes, under limits that stand in front of them: a session reads them
// from a socket, with a small model behind it, and replies or ends. No input may crash it, keep it
// from ending once the client has gone, or get a 500.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "serve/session.h"
// Behind session.h, which has what Boost 1.74 needs in front.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "base/error.h"
#include "formats/temp_folder.h"
#include "formats/write_safetensors.h"
#include "model/synthetic_model.h"
#include "serve/log.h"

namespace {

namespace asio = boost::asio;
using namespace fathom;
using namespace fathom::serve;

// A model whose tokens are bytes.
void write_model(const std::string& path) {
  const auto model = test::make_model(
      {.version = Version::kV6, .n_vocab = 256, .n_layer = 2, .d_model = 8, .d_ffn = 16});
  std::vector<TensorToWrite> tensors;
  for (const auto& a : model.arrays)
    tensors.push_back(tensor_to_write(a.name, a.shape, std::span<const float>(a.values)));
  write_safetensors(path, tensors);
}

// What lives as long as the process.
struct World {
  ServeOptions options;
  Workers workers{1};
  std::unique_ptr<Service> service;
  asio::io_context io{1};
  std::unique_ptr<Shared> shared;

  World() {
    const test::TempFolder folder;
    write_model(folder.file("model.safetensors"));
    options.models = {{"m", folder.file("model.safetensors")}};
    options.policies = {{"short", "fixed:1"}};
    options.prompts = {{"q", "Q: "}};
    options.threads = 1;
    options.batch_tokens = 16;
    options.max_queued_tokens = 256;
    options.cors = {"https://a.example"};
    service = std::make_unique<Service>(
        options, [this](std::function<void()> task) { workers.post(std::move(task)); });
    service->load({});
    shared = std::make_unique<Shared>(Shared{io, *service, workers, options});
  }

  // All that workers have been given is done.
  void flush() {
    std::atomic<bool> done = false;
    workers.post([&] { done = true; });
    while (!done) std::this_thread::yield();
  }
};

// One client: what it has been sent so far.
struct Client {
  int socket = -1;
  std::string received;

  void drain() {
    char bytes[4096];
    for (ssize_t n; (n = ::recv(socket, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;)
      received.append(bytes, static_cast<size_t>(n));
  }
};

// Runs until nothing moves any more.
void settle(World& world, Client& client) {
  size_t n_quiet = 0;
  while (n_quiet < 3) {
    world.io.restart();
    const size_t n_ran = world.io.poll();
    const size_t before = client.received.size();
    client.drain();
    world.flush();
    const bool moved = n_ran > 0 || client.received.size() > before || world.service->n_token() > 0;
    n_quiet = moved ? 0 : n_quiet + 1;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kLimits = 4;
  if (size <= kLimits || size > 64 << 10) return 0;
  static World* const world = new World;  // its threads outlive main()
  ServeOptions& o = world->options;
  o.max_request_bytes = 1024 + 16 * size_t{data[0]};
  o.max_buffered_bytes = 1024 + 16 * size_t{data[1]};
  o.max_client_batch = 1 + data[2] % 8;
  o.max_reply_values = 1 + 8 * size_t{data[3]};

  int ends[2];
  FATHOM_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  Client client{.socket = ends[0]};
  bool ended = false;
  {
    Session session(*world->shared,
                    Session::Socket(world->io, asio::local::stream_protocol(), ends[1]));
    asio::co_spawn(world->io, session.run(), [&](const std::exception_ptr& e) {
      FATHOM_ASSERT(!e);
      ended = true;
    });
    for (size_t at = kLimits; at < size && !ended;) {
      const ssize_t n = ::send(ends[0], data + at, size - at, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) at += static_cast<size_t>(n);
      settle(*world, client);
      if (n <= 0) break;  // it has closed, or reads no more
    }
    ::shutdown(ends[0], SHUT_WR);
    for (size_t i = 0; i < 1000 && !ended; ++i) settle(*world, client);
    FATHOM_ASSERT(ended);
  }
  settle(*world, client);
  ::close(ends[0]);
  FATHOM_ASSERT(client.received.empty() || client.received.starts_with("HTTP/1."));
  // With the end of the line: a body may repeat what a client sent, but escapes line ends.
  for (const char* bug :
       {"HTTP/1.1 500 Internal Server Error\r\n", "HTTP/1.0 500 Internal Server Error\r\n"})
    FATHOM_ASSERT(client.received.find(bug) == std::string::npos);
  FATHOM_ASSERT(world->shared->n_buffered == 0);
  return 0;
}
