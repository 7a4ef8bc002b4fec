// SPDX-License-Identifier: Apache-2.0
// ThreadPool: a fixed team that runs the tasks of one loop at a time.
//
// Which thread runs a task never changes what it computes: callers cut work into tasks by size
// alone, not by the number of threads, so results are the same for any team.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

namespace fathom {

class ThreadPool {
 public:
  // n_thread >= 1; the calling thread is one of them. Throws std::system_error.
  explicit ThreadPool(size_t n_thread);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  size_t size() const;

  // Runs task(0) .. task(n_task - 1), each once, and returns when all are done. If tasks threw, the
  // exception of the one with the lowest number is thrown here. Called from one thread at a time; a
  // task may call it again (the inner loop then runs on that thread alone).
  void run(size_t n_task, const std::function<void(size_t)>& task);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Cores this process may use: the affinity mask, cut by the cgroup's CPU quota (v1 and v2); >= 1.
size_t available_threads();

// The quota's part of it, rounded up; SIZE_MAX without a quota. root: "/", or a test's copy of
// proc/self/cgroup and sys/fs/cgroup.
size_t cgroup_threads(const std::filesystem::path& root);

}  // namespace fathom
