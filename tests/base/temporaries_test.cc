// SPDX-License-Identifier: Apache-2.0
// A signal that ends the process leaves nothing half written, whichever thread writes and whichever
// is interrupted; and it is the signal that ends it.
#include "base/temporaries.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/output_set.h"
#include "formats/temp_folder.h"

namespace fathom::test::temporaries_test {
namespace {

namespace fs = std::filesystem;

// How a child process ended that did this.
int status_of(const std::function<void()>& child) {
  const pid_t id = ::fork();
  if (id == 0) {
    const struct rlimit none {};
    ::setrlimit(RLIMIT_CORE, &none);
    child();
    ::_exit(0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(id, &status, 0), id);
  return status;
}

constexpr int kSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM, SIGXCPU, SIGXFSZ};

TEST(Temporaries, EverySignalRemovesThem) {
  for (int signal : kSignals) {
    const TempFolder folder;
    write_file(folder.file("old"), "old");
    const int status = status_of([&] {
      remove_temporaries_on_signals();
      AtomicFile a(folder.file("old")), b(folder.file("new"));
      const MadeFolder outer(folder.file("x/y")), inner(folder.file("x/y/z"));
      AtomicFile c(folder.file("x/y/z/c"));
      a.stream() << "half";
      ::raise(signal);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << signal << " " << status;
    EXPECT_EQ(folder.n_file(), 1u) << signal;
    EXPECT_EQ(read_whole(folder.file("old")), "old");
  }
}

// Threads that make and finish files all the time, and a signal at any moment.
TEST(Temporaries, WithManyThreads) {
  for (int round = 0; round < 20; ++round) {
    const TempFolder folder;
    const int status = status_of([&] {
      remove_temporaries_on_signals();
      std::atomic<int> n_file = 0;
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
          for (;;) {
            AtomicFile file(folder.file(concat("f", t)));
            file.stream() << "half";
            ++n_file;
          }
        });
      while (n_file < 5 + 10 * round) ::poll(nullptr, 0, 0);
      ::kill(::getpid(), SIGTERM);  // any thread may get it
      for (;;) ::poll(nullptr, 0, 1000);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
    EXPECT_EQ(folder.n_file(), 0u) << round;
  }
}

TEST(Temporaries, IgnoredSignalsStayIgnored) {
  const TempFolder folder;
  EXPECT_EQ(status_of([&] {
              ::signal(SIGHUP, SIG_IGN);
              remove_temporaries_on_signals();
              AtomicFile file(folder.file("a"));
              ::raise(SIGHUP);
              file.stream() << "whole";
              file.commit();
            }),
            0);
  EXPECT_EQ(read_whole(folder.file("a")), "whole");
}

TEST(Temporaries, AHoldKeepsStepsTogether) {
  const TempFolder folder;
  const int status = status_of([&] {
    remove_temporaries_on_signals();
    const SignalHold hold;
    ::raise(SIGTERM);
    write_file(folder.file("a"), "whole");
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
  EXPECT_EQ(read_whole(folder.file("a")), "whole");
}

// More than there is room for: the program goes on, and so do those that have a place.
TEST(Temporaries, AFullTableIsNoError) {
  const TempFolder folder;
  std::vector<Temporary> entries;
  for (int i = 0; i < 500; ++i)
    entries.emplace_back(folder.file(concat("none", i)), Temporary::Kind::kFile);
  entries.clear();
  write_file(folder.file("a"), "whole");
  const Temporary entry(folder.file("a"), Temporary::Kind::kFile);
  remove_temporaries();
  EXPECT_FALSE(fs::exists(folder.file("a")));
}

}  // namespace
}  // namespace fathom::test::temporaries_test
