// SPDX-License-Identifier: Apache-2.0
// Workers: threads that parse, tokenise and write JSON, to keep this work off the threads of the
// sockets and of the engine.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fathom::serve {

class Workers {
 public:
  explicit Workers(size_t n);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers() { stop(); }

  // Runs what has been posted, then nothing more. Not from a task.
  void stop();

  // task must not throw. Any thread.
  void post(std::function<void()> task);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> tasks_;  // guarded by mutex_
  bool closed_ = false;                      // guarded by mutex_
  std::vector<std::jthread> threads_;
};

}  // namespace fathom::serve
