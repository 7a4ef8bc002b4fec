// SPDX-License-Identifier: Apache-2.0
// Long jobs of `fathom embed`: killed at any moment, on a disk that fills up, stopped by a signal; and
// how far they say they are.
#include <poll.h>
#include <signal.h>

#include <chrono>
#include <fstream>

#include "base/json.h"
#include "base/random.h"
#include "base/tiny_disk.h"
#include "cli/models.h"
#include "eval/small_glue.h"

namespace fathom::test::bulk_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Bulk : public testing::Test {
 protected:
  Bulk() : model_(byte_model(folder_)) { fs::create_directory(at("out")); }

  std::string at(const std::string& name) const { return folder_.file(name); }
  std::string texts(size_t n) const {
    std::string all;
    for (size_t i = 0; i < n; ++i) all += concat(i, " ", sentence(i), "\n");
    return folder_.write("texts.txt", all);
  }
  std::vector<std::string> embed(const std::string& input, const std::string& output) const {
    return {"embed", model_, "-i", input, "-o", output, "--layers", "1,3", "--threads", "1"};
  }
  // Begins a command, whose standard error goes to at("err").
  pid_t begin(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), test::kBinary);
    const std::vector<char*> argv = detail::pointers(arguments);
    const std::string err = at("err");
    const pid_t child = ::fork();
    if (child != 0) return child;
    if (::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO) < 0)
      ::_exit(126);
    ::execv(test::kBinary, argv.data());
    ::_exit(127);
  }
  size_t n_out() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(at("out")), {}));
  }

  TempFolder folder_;
  std::string model_;
};

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_F(Bulk, KilledAtTwentyMomentsItLosesNothing) {
  const std::string in = texts(6000), whole = at("whole.npy"), out = at("out/e.npy");
  const auto start = std::chrono::steady_clock::now();
  run_ok(embed(in, whole));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  const std::string want = read_whole(whole);
  const std::vector<std::string> command =
      joined(embed(in, out), {"--resume", "--save-seconds", "0"});
  Random random(20);
  size_t n_killed = 0, n_finished = 0;
  const auto check = [&] {
    ++n_finished;
    EXPECT_TRUE(read_whole(out) == want);
    EXPECT_EQ(n_out(), 2u);
    fs::remove(out);
    fs::remove(out + ".json");
  };
  while (n_killed < 20 && n_finished < 40) {
    const pid_t child = begin(command);
    ASSERT_GT(child, 0);
    ::poll(nullptr, 0, static_cast<int>(random.below(static_cast<uint64_t>(took.count()) + 1)));
    ::kill(child, SIGKILL);
    const int code = detail::exit_code_of(child);
    if (code == 0) {
      check();
      continue;
    }
    ASSERT_EQ(code, 128 + SIGKILL) << read_whole(at("err"));
    ++n_killed;
  }
  run_ok(command);
  check();
}

TEST_F(Bulk, OnADiskThatIsFullItGoesOnWhenThereIsRoom) {
  const TinyDisk disk("600k");
  if (!disk.is_mounted()) GTEST_SKIP() << "may not mount a file system";
  const std::string in = texts(2000);
  for (const char* name : {"e.jsonl", "e.npy"}) {
    run_ok(embed(in, at("out/whole") + fs::path(name).extension().string()));
    const std::string out = disk.path() / name, filler = disk.path() / "filler";
    // .npy asks for its room at the beginning, .jsonl finds the disk full on the way.
    const bool is_npy = std::string_view(name) == "e.npy";
    std::ofstream(filler) << std::string(is_npy ? 400'000 : 450'000, 'x');
    std::vector<std::string> command =
        joined(embed(in, out), {"--resume", "--save-seconds", "0", "--batch-tokens", "16"});
    if (!is_npy) command = joined(command, {"--output-dtype", "ubinary"});
    const Outcome full = run_fathom(command);
    expect_refused(full, kDataError, {"cannot write: No space left on device"});
    EXPECT_FALSE(fs::exists(out));
    EXPECT_EQ(fs::exists(out + ".journal"), !is_npy);
    fs::remove(filler);
    const Outcome rest = run_ok(command);
    EXPECT_EQ(rest.err.find("were there before") != std::string::npos, !is_npy) << rest.err;
    if (is_npy) {
      EXPECT_TRUE(read_whole(out) == read_whole(at("out/whole.npy")));
    } else {
      std::vector<std::string> once = embed(in, at("out/once.jsonl"));
      run_ok(joined(once, {"--output-dtype", "ubinary"}));
      EXPECT_TRUE(read_whole(out) == read_whole(at("out/once.jsonl")));
    }
    for (const auto& entry : fs::directory_iterator(disk.path())) fs::remove(entry);
  }
}

TEST_F(Bulk, StoppedBySignalItSaysHowToGoOn) {
  const std::string in = texts(60'000), out = at("out/e.jsonl");
  for (const bool resume : {false, true}) {
    std::vector<std::string> command = embed(in, out);
    if (resume) command = joined(command, {"--resume", "--save-seconds", "0"});
    const pid_t child = begin(command);
    const auto is_there = [&] {
      for (const auto& entry : fs::directory_iterator(at("out"))) {
        std::error_code gone;
        if (resume ? entry.path() == out + ".journal" && fs::file_size(entry, gone) > 8000
                   : entry.path().string().find(".tmp.") != std::string::npos &&
                         fs::file_size(entry, gone) > 1 << 18)
          return true;
      }
      return false;
    };
    int status = 0;
    while (!is_there() && ::waitpid(child, &status, WNOHANG) == 0) ::poll(nullptr, 0, 1);
    ::kill(child, SIGTERM);
    EXPECT_EQ(detail::exit_code_of(child), 128 + SIGTERM);
    EXPECT_THAT(read_whole(at("err")),
                resume ? AllOf(HasSubstr("the same command goes on"), HasSubstr("e.jsonl.journal"))
                       : AllOf(HasSubstr("nothing is kept"), HasSubstr("--resume")));
    EXPECT_EQ(n_out(), resume ? 2u : 0u);
  }
}

TEST_F(Bulk, SaysHowFarItIs) {
  const std::string in = texts(100);
  const Outcome run = run_ok(joined(embed(in, at("out/e.npy")), {"--progress", "json"}));
  const Json last = Json::parse(lines_of(run.err).at(lines_of(run.err).size() - 2));
  EXPECT_EQ(last["done"], 100);
  EXPECT_EQ(last["total"], 100);
  EXPECT_EQ(last["seconds_left"], 0);
  EXPECT_GT(last["tokens_per_second"], 0);
  EXPECT_THAT(lines_of(run.err).back(), testing::StartsWith("100 texts, "));
  expect_refused(run_fathom(joined(embed(in, at("out/e.npy")), {"--progress", "loud"})),
                 kUsageError, {"--progress", "'loud'"});
  expect_refused(run_fathom(joined(embed(in, at("out/e.npy")), {"--shard", "9/8"})), kUsageError,
                 {"--shard: expected I/N", "'9/8'"});
  expect_refused(run_fathom(joined(embed(in, at("out/e.npy")), {"--output-dtype", "int4"})),
                 kUsageError, {"--output-dtype", "'int4'"});
  std::vector<std::string> depth = {"embed", model_, "-i", in, "-o", at("out/d.npy")};
  EXPECT_THAT(run_ok(joined(depth, {"--depth", "fixed:2"})).err,
              HasSubstr("\nexits: layer 2 100.0 %\n"));
}

}  // namespace
}  // namespace fathom::test::bulk_test
