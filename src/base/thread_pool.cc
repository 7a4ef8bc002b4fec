// SPDX-License-Identifier: Apache-2.0
// The team shares one atomic ticket, (generation of the loop, next task). Claiming a task is a
// compare-and-swap on it, which fails once the loop is over, so that run() waits for the tasks
// alone: a worker that was slow to wake up (this machine may be shared) never holds it back.
#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"

namespace fathom {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// Waking a thread takes tens of microseconds, so waiting starts with looking. A worker looks for
// the next loop for a time that it halves when looking was in vain and doubles when it paid: within
// a model the next operator comes after a few microseconds. At the end of a loop everyone looks for
// longer, since the last tasks are running and the next loop follows them.
constexpr microseconds kShortestSpin{16}, kLongestSpin{64}, kTailSpin{500};

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// True as soon as done() is, false when the time is over.
template <class Done>
bool spin_until(const Done& done, microseconds time) {
  if (time.count() == 0) return done();
  const auto end = Clock::now() + time;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      pause_briefly();
    }
  } while (Clock::now() < end);
  return false;
}

// The exception of the task with the lowest number: the same one for any team.
class Failure {
 public:
  void keep(size_t task) {
    const std::lock_guard lock(mutex_);
    if (task >= task_) return;
    task_ = task;
    exception_ = std::current_exception();
  }
  // What was kept, if anything; forgets it. To be called after the loop.
  std::exception_ptr take() {
    task_ = SIZE_MAX;
    return std::exchange(exception_, nullptr);
  }

 private:
  std::mutex mutex_;
  size_t task_ = SIZE_MAX;
  std::exception_ptr exception_;
};

void run_guarded(const std::function<void(size_t)>& task, size_t i, Failure& failure) {
  try {
    task(i);
  } catch (...) {
    failure.keep(i);
  }
}

}  // namespace

struct ThreadPool::Impl {
  static constexpr uint32_t kClosed = UINT32_MAX;

  explicit Impl(size_t n_thread);
  ~Impl() { stop(); }

  void run(size_t n, const std::function<void(size_t)>& f);
  void stop();
  bool work();  // runs tasks of the open loop until none is left; whether there was one
  void worker();
  void wake(size_t n);
  bool finished() const { return n_done.load() == n_task.load(); }

  // All atomics are sequentially consistent: the order of "publish, then look for sleepers" against
  // "announce sleep, then look for work" needs it, and nothing here is hot enough to mind.
  alignas(64) std::atomic<uint64_t> ticket{kClosed};  // generation << 32 | next task
  std::atomic<size_t> n_task{0};
  std::atomic<const std::function<void(size_t)>*> task{nullptr};
  alignas(64) std::atomic<size_t> n_done{0};
  alignas(64) std::atomic<bool> busy{false};  // a loop is running: another one runs inline
  Failure failure;

  std::mutex mutex;
  std::condition_variable work_ready, all_done;
  std::atomic<size_t> n_sleeping{0};
  std::atomic<bool> caller_sleeps{false};
  bool stopping = false;  // guarded by mutex

  microseconds longest_spin = kLongestSpin, tail_spin = kTailSpin;
  std::vector<std::thread> workers;
};

ThreadPool::Impl::Impl(size_t n_thread) {
  // Where threads share cores, one that spins keeps another from working.
  if (n_thread > available_threads()) longest_spin = tail_spin = microseconds{0};
  try {
    for (size_t i = 1; i < n_thread; ++i) workers.emplace_back([this] { worker(); });
  } catch (...) {
    stop();
    throw;
  }
}

void ThreadPool::Impl::stop() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  work_ready.notify_all();
  for (std::thread& thread : workers) thread.join();
}

bool ThreadPool::Impl::work() {
  bool any = false;
  uint64_t now = ticket.load();
  for (;;) {
    const uint32_t next = static_cast<uint32_t>(now);
    const size_t n = n_task.load();
    if (next == kClosed || next >= n) return any;
    // Success means that the loop that `now` and n belong to is still open: run() closes the ticket
    // before it changes n_task.
    if (!ticket.compare_exchange_weak(now, now + 1)) continue;
    run_guarded(*task.load(), next, failure);
    any = true;
    if (n_done.fetch_add(1) + 1 == n && caller_sleeps.load()) {
      const std::lock_guard lock(mutex);
      all_done.notify_one();
    }
    now = ticket.load();
  }
}

void ThreadPool::Impl::worker() {
  microseconds spin = longest_spin;
  for (;;) {
    const uint64_t seen = ticket.load() >> 32;
    if (work()) continue;
    const auto next_loop = [&] { return ticket.load() >> 32 != seen; };
    spin_until([&] { return finished() || next_loop(); }, tail_spin);
    if (spin_until(next_loop, spin)) {
      spin = std::min(2 * spin, longest_spin);
      continue;
    }
    spin = std::min(std::max(spin / 2, kShortestSpin), longest_spin);
    std::unique_lock lock(mutex);
    ++n_sleeping;
    work_ready.wait(lock, [&] { return stopping || next_loop(); });
    --n_sleeping;
    if (stopping) return;
  }
}

void ThreadPool::Impl::wake(size_t n) {
  const size_t sleeping = n_sleeping.load();
  if (sleeping == 0) return;
  const std::lock_guard lock(mutex);
  if (n >= sleeping) {
    work_ready.notify_all();
  } else {
    for (size_t i = 0; i < n; ++i) work_ready.notify_one();
  }
}

void ThreadPool::Impl::run(size_t n, const std::function<void(size_t)>& f) {
  // Closed under the old generation: a worker that sees the new one must find tasks.
  const uint64_t generation = (ticket.load() >> 32) + 1;
  ticket.store((generation - 1) << 32 | kClosed);
  task.store(&f);
  n_done.store(0);
  n_task.store(n);
  ticket.store(generation << 32);
  wake(n - 1);
  work();
  if (!spin_until([&] { return finished(); }, tail_spin)) {
    std::unique_lock lock(mutex);
    caller_sleeps.store(true);
    all_done.wait(lock, [&] { return finished(); });
    caller_sleeps.store(false);
  }
}

ThreadPool::ThreadPool(size_t n_thread) {
  FATHOM_ASSERT(n_thread >= 1);
  impl_ = std::make_unique<Impl>(n_thread);
}

ThreadPool::~ThreadPool() = default;

size_t ThreadPool::size() const { return impl_->workers.size() + 1; }

void ThreadPool::run(size_t n_task, const std::function<void(size_t)>& task) {
  FATHOM_ASSERT(n_task < Impl::kClosed);
  if (n_task == 0) return;
  std::exception_ptr exception;
  if (n_task == 1 || impl_->workers.empty() || impl_->busy.exchange(true)) {
    Failure failure;
    for (size_t i = 0; i < n_task; ++i) run_guarded(task, i, failure);
    exception = failure.take();
  } else {
    impl_->run(n_task, task);
    exception = impl_->failure.take();
    impl_->busy.store(false);
  }
  if (exception) std::rethrow_exception(exception);
}

}  // namespace fathom
