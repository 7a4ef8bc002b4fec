// SPDX-License-Identifier: Apache-2.0
#include "interrupt.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

namespace fathom::python {

void run_interruptibly(const std::function<void()>& work, const std::function<void()>& stop) {
  std::mutex mutex;
  std::condition_variable over;
  bool done = false;
  std::exception_ptr thrown;
  std::optional<nb::python_error> signal;
  {
    const nb::gil_scoped_release no_gil;
    std::thread worker([&] {
      try {
        work();
      } catch (...) {
        thrown = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      done = true;
      over.notify_one();
    });
    std::unique_lock lock(mutex);
    while (!over.wait_for(lock, std::chrono::milliseconds(50), [&] { return done; })) {
      lock.unlock();  // the worker may be about to end, and we about to wait for the GIL
      {
        const nb::gil_scoped_acquire gil;
        if (!signal && PyErr_CheckSignals() != 0) {
          signal.emplace();
          stop();
        }
      }
      lock.lock();
    }
    lock.unlock();
    worker.join();
  }
  if (signal) throw std::move(*signal);
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace fathom::python
