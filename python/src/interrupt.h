// SPDX-License-Identifier: Apache-2.0
// Ctrl-C while the engine computes without the GIL.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <functional>

namespace fathom::python {

namespace nb = nanobind;

// Called between batches on the thread of the call, without the GIL: looks for signals and tells
// Python how far the work is, at most fifty times a second. A call of it may throw nb::python_error,
// which ends the work.
class Watch {
 public:
  explicit Watch(nb::handle progress) : progress_(progress) {}

  void operator()(size_t done) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(20)) return;
    last_ = now;
    const nb::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (!progress_.is_none()) progress_(done);
  }

 private:
  nb::handle progress_;  // the caller's, who waits
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Runs long work on another thread, without the GIL, while this one looks for signals. A signal that
// raises sets `stop`, which the work should look at; the exception is thrown when the work is over.
// Throws what the work throws. Called with the GIL.
void run_interruptibly(const std::function<void()>& work, const std::function<void()>& stop);

}  // namespace fathom::python
