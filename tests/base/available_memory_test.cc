// SPDX-License-Identifier: Apache-2.0
// What memory is left, read from copies of the kernel's files.
#include "base/available_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace fathom::available_memory_test {
namespace {

class MemoryFiles : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  size_t bytes() const { return available_memory(root_); }

  std::filesystem::path root_ = std::filesystem::temp_directory_path() /
                                ("fathom_memory_" + std::to_string(::getpid()) + "_" +
                                 testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(MemoryFiles, WhatTheKernelCallsAvailable) {
  EXPECT_EQ(bytes(), SIZE_MAX) << "nothing is known";
  write("proc/meminfo", "MemTotal:  3000 kB\nMemFree:  500 kB\nMemAvailable:   2000 kB\n");
  EXPECT_EQ(bytes(), 2000u * 1024);
  write("proc/meminfo", "MemTotal: 3000 kB\nMemAvailable:");
  EXPECT_EQ(bytes(), SIZE_MAX);
  write("proc/meminfo", "MemAvailable: -5 kB\n");
  EXPECT_EQ(bytes(), SIZE_MAX);
}

TEST_F(MemoryFiles, Version2) {
  write("proc/meminfo", "MemAvailable: 2000 kB\n");
  write("proc/self/cgroup", "0::/user/job\n");
  write("sys/fs/cgroup/user/job/memory.max", "max\n");
  write("sys/fs/cgroup/user/job/memory.current", "900000\n");
  EXPECT_EQ(bytes(), 2000u * 1024) << "no limit";
  write("sys/fs/cgroup/user/job/memory.max", "1000000\n");
  EXPECT_EQ(bytes(), 100000u);
  write("sys/fs/cgroup/user/job/memory.stat",
        "anon 500000\ninactive_file 250000\nactive_file 50000\n");
  EXPECT_EQ(bytes(), 400000u) << "file pages can be given back";
  write("sys/fs/cgroup/user/memory.max", "700000\n");
  write("sys/fs/cgroup/user/memory.current", "650000\n");
  EXPECT_EQ(bytes(), 50000u) << "the group around it counts, too";
  write("sys/fs/cgroup/user/memory.current", "750000\n");
  EXPECT_EQ(bytes(), 0u) << "over its limit";
}

TEST_F(MemoryFiles, Version1) {
  write("proc/meminfo", "MemAvailable: 2000 kB\n");
  write("proc/self/cgroup", "9:cpu:/job\n4:memory:/job\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000000\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "600000\n");
  write("sys/fs/cgroup/memory/job/memory.stat",
        "inactive_file 1\nactive_file 1\ntotal_inactive_file 100000\ntotal_active_file 0\n");
  EXPECT_EQ(bytes(), 500000u);
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", "600000\n");
  EXPECT_EQ(bytes(), 500000u);
}

TEST(AvailableMemory, OfThisMachine) {
  EXPECT_GT(available_memory(), size_t{1} << 20);
  EXPECT_LT(available_memory(), SIZE_MAX);
}

// ulimit -v and -d, in a process of their own.
TEST(AvailableMemory, LimitsOfTheProcess) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers map terabytes";
#endif
  const auto within = [](auto resource, size_t room) {
    struct rlimit limit {};
    const size_t before = available_memory("/nothing");
    limit.rlim_cur = limit.rlim_max = size_t{1} << 45;
    ::setrlimit(resource, &limit);
    const size_t wide = available_memory();
    limit.rlim_cur = limit.rlim_max = room;
    ::setrlimit(resource, &limit);
    const size_t narrow = available_memory();
    ::_exit(before == SIZE_MAX && wide > 0 && narrow < room ? 0 : 1);
  };
  EXPECT_EXIT(within(RLIMIT_AS, size_t{1} << 33), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(within(RLIMIT_DATA, size_t{1} << 33), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace fathom::available_memory_test
