// SPDX-License-Identifier: Apache-2.0
// Runs the program as a user would: its arguments, standard input and environment in; exit code and
// both outputs back.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/temp_folder.h"
#include "paths.h"

extern char** environ;

namespace fathom::test {

struct Outcome {
  int exit_code = 0;  // 128 + signal if it was killed
  std::string out, err;
};

struct RunOptions {
  std::string input = {};                     // standard input
  std::vector<std::string> environment = {};  // KEY=VALUE; no other FATHOM_* is passed on
  std::filesystem::path folder = {};          // current folder; "" stays
};

namespace detail {

// Pointers into strings that outlive them, ended as exec wants it.
inline std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

inline std::vector<std::string> environment_for(const RunOptions& options) {
  std::vector<std::string> all = options.environment;
  for (char** e = environ; *e; ++e)
    if (!std::string_view(*e).starts_with("FATHOM_")) all.emplace_back(*e);
  return all;
}

inline int exit_code_of(pid_t child) {
  int status = 0;
  FATHOM_REQUIRE(::waitpid(child, &status, 0) == child, "waitpid failed");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace detail

inline Outcome run_fathom(std::vector<std::string> arguments, const RunOptions& options = {}) {
  const TempFolder folder;
  const std::string in = folder.write("in", options.input), out = folder.file("out"),
                    err = folder.file("err");
  arguments.insert(arguments.begin(), test::kBinary);
  const std::vector<std::string> environment = detail::environment_for(options);
  const std::vector<char*> argv = detail::pointers(arguments), envp = detail::pointers(environment);
  const pid_t child = ::fork();
  FATHOM_REQUIRE(child >= 0, "fork failed");
  if (child == 0) {
    const auto open_as = [](const std::string& path, int flags, int descriptor) {
      if (::dup2(::open(path.c_str(), flags, 0600), descriptor) < 0) ::_exit(126);
    };
    open_as(in, O_RDONLY, STDIN_FILENO);
    open_as(out, O_WRONLY | O_CREAT, STDOUT_FILENO);
    open_as(err, O_WRONLY | O_CREAT, STDERR_FILENO);
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(126);
    ::execve(test::kBinary, argv.data(), envp.data());
    ::_exit(127);
  }
  const int exit_code = detail::exit_code_of(child);
  return {exit_code, read_whole(out), read_whole(err)};
}

// The outputs of a run that has to succeed.
inline Outcome run_ok(const std::vector<std::string>& arguments, const RunOptions& options = {}) {
  Outcome run = run_fathom(arguments, options);
  EXPECT_EQ(run.exit_code, 0) << run.err;
  return run;
}

inline constexpr int kDataError = 1, kUsageError = 2;

// Refused: the exit code, and one line on standard error that holds every one of `names`.
inline void expect_refused(const Outcome& run, int exit_code,
                           const std::vector<std::string>& names) {
  EXPECT_EQ(run.exit_code, exit_code) << run.err;
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, testing::StartsWith("fathom: "));
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
  EXPECT_TRUE(run.err.ends_with('\n')) << run.err;
  for (const std::string& name : names) EXPECT_THAT(run.err, testing::HasSubstr(name));
}

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace fathom::test
