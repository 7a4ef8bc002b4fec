// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace fathom::thread_pool_test {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (size_t n_thread : {1, 2, 3, 5}) {
    ThreadPool pool(n_thread);
    EXPECT_EQ(pool.size(), n_thread);
    for (size_t n_task : {0, 1, 2, 3, 7, 64, 1000}) {
      std::vector<int> count(n_task);  // not atomic: run() has to order the writes before the reads
      pool.run(n_task, [&](size_t i) { ++count[i]; });
      EXPECT_EQ(count, std::vector<int>(n_task, 1)) << n_thread << " threads";
    }
  }
}

TEST(ThreadPool, ManyShortLoopsInARow) {
  ThreadPool pool(3);
  std::vector<size_t> sum(4);
  for (size_t loop = 0; loop < 20000; ++loop) {
    pool.run(1 + loop % 4, [&](size_t i) { sum[i] += loop; });
  }
  size_t want = 0;  // task 0 is in every loop, task 3 in every fourth
  for (size_t loop = 0; loop < 20000; ++loop) want += loop;
  EXPECT_EQ(sum[0], want);
  want = 0;
  for (size_t loop = 3; loop < 20000; loop += 4) want += loop;
  EXPECT_EQ(sum[3], want);
}

TEST(ThreadPool, WorksAfterItsThreadsWentToSleep) {
  ThreadPool pool(3);
  for (int loop = 0; loop < 20; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::atomic<int> n{0};
    pool.run(5, [&](size_t) { ++n; });
    EXPECT_EQ(n, 5);
  }
}

TEST(ThreadPool, AllThreadsWorkAtTheSameTime) {
  ThreadPool pool(4);
  std::barrier meet(4);  // hangs, and so fails, if fewer than four threads take a task each
  std::mutex mutex;
  std::set<std::thread::id> seen;
  pool.run(4, [&](size_t) {
    meet.arrive_and_wait();
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(seen.size(), 4u);
  EXPECT_TRUE(seen.contains(std::this_thread::get_id())) << "the caller is one of the team";
}

TEST(ThreadPool, NestedLoopRunsOnTheThreadOfItsTask) {
  ThreadPool pool(3);
  std::vector<std::vector<int>> count(6, std::vector<int>(10));
  std::atomic<int> elsewhere{0};
  pool.run(6, [&](size_t outer) {
    const auto self = std::this_thread::get_id();
    pool.run(10, [&](size_t inner) {
      ++count[outer][inner];
      if (std::this_thread::get_id() != self) ++elsewhere;
    });
  });
  EXPECT_EQ(count, std::vector(6, std::vector<int>(10, 1)));
  EXPECT_EQ(elsewhere, 0);
}

TEST(ThreadPool, SecondCallerIsServedToo) {
  ThreadPool pool(2);
  std::atomic<size_t> n{0};
  const auto loops = [&] {
    for (int i = 0; i < 200; ++i) pool.run(8, [&](size_t) { ++n; });
  };
  std::thread other(loops);
  loops();
  other.join();
  EXPECT_EQ(n, 2u * 200 * 8);
}

TEST(ThreadPool, ThrowsTheExceptionOfTheLowestTaskAfterAllRan) {
  for (size_t n_thread : {1, 2, 4}) {
    ThreadPool pool(n_thread);
    std::atomic<int> n{0};
    std::string message;
    try {
      pool.run(50, [&](size_t i) {
        ++n;
        if (i % 10 == 7) throw std::runtime_error(std::to_string(i));
      });
    } catch (const std::runtime_error& e) {
      message = e.what();
    }
    EXPECT_EQ(message, "7") << n_thread << " threads";
    EXPECT_EQ(n, 50);
    n = 0;
    pool.run(50, [&](size_t) { ++n; });  // nothing left over from the failure
    EXPECT_EQ(n, 50);
  }
}

TEST(ThreadPool, ExceptionOfANestedLoopReachesTheCaller) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.run(4,
                        [&](size_t outer) {
                          pool.run(4, [&](size_t inner) {
                            if (outer == 2 && inner == 3) throw Error("inner");
                          });
                        }),
               Error);
  EXPECT_THROW(pool.run(1, [](size_t) { throw Error("single task"); }), Error);
}

TEST(ThreadPool, StartsAndEndsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(1 + i % 4);
}

// A copy of the files that tell the quota, under a temporary root.
class CgroupFiles : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(testing::TempDir()) /
            ("fathom_cgroup_" + std::to_string(::getpid()) + "_" +
             testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  size_t threads() const { return cgroup_threads(root_); }

  std::filesystem::path root_;
};

TEST_F(CgroupFiles, NoFilesNoQuota) {
  EXPECT_EQ(threads(), SIZE_MAX);
  write("proc/self/cgroup", "0::/a\n");
  EXPECT_EQ(threads(), SIZE_MAX);
  write("proc/self/cgroup", "nonsense\n\n:\n");
  EXPECT_EQ(threads(), SIZE_MAX);
}

TEST_F(CgroupFiles, Version2) {
  write("proc/self/cgroup", "0::/user/job\n");
  write("sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
  EXPECT_EQ(threads(), SIZE_MAX);
  write("sys/fs/cgroup/user/job/cpu.max", "300000 100000\n");
  EXPECT_EQ(threads(), 3u);
  write("sys/fs/cgroup/user/job/cpu.max", "50000 100000\n");
  EXPECT_EQ(threads(), 1u);
  write("sys/fs/cgroup/user/job/cpu.max", "150000 100000\n");
  EXPECT_EQ(threads(), 2u) << "a started core counts";
}

TEST_F(CgroupFiles, Version2OuterGroupsCount) {
  write("proc/self/cgroup", "0::/user/job\n");
  write("sys/fs/cgroup/user/job/cpu.max", "800000 100000\n");
  write("sys/fs/cgroup/user/cpu.max", "200000 100000\n");
  EXPECT_EQ(threads(), 2u);
}

TEST_F(CgroupFiles, Version2InAContainerThatSeesTheHostsPath) {
  write("proc/self/cgroup", "0::/docker/0123\n");
  write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(threads(), 4u);
}

TEST_F(CgroupFiles, Version1) {
  write("proc/self/cgroup", "9:memory:/job\n4:cpu,cpuacct:/job\n1:cpuset:/job\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(threads(), SIZE_MAX);
  write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "250000\n");
  EXPECT_EQ(threads(), 3u);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(threads(), 1u);
}

TEST(AvailableThreads, FollowsTheAffinityMask) {
  EXPECT_GE(available_threads(), 1u);
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(available_threads(), 1u);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

}  // namespace
}  // namespace fathom::thread_pool_test
