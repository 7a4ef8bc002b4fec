// SPDX-License-Identifier: Apache-2.0
// Standard streams that are closed, full, or pipes that nobody reads.
#include "cli/models.h"
#include "cli/shell.h"

namespace fathom::test::streams_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Streams : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
    run_ok({"embed", model_, "-i", in_, "-o", folder_.file("want.npy"), "--layers", "all"});
    want_ = read_whole(folder_.file("want.npy"));
  }
  // embed with these redirections: the exit code, 0 only if the vectors are whole.
  int embed(const std::string& redirections) {
    const fs::path out = folder_.file("e.npy");
    fs::remove(out);
    const int code = run_shell(concat("\"$FATHOM\" embed ", model_, " -i ", in_, " -o ",
                                      out.string(), " --layers all ", redirections));
    if (code == 0) {
      EXPECT_EQ(read_whole(out), want_) << redirections;
    }
    return code;
  }
  int run(const std::string& arguments) { return run_shell("\"$FATHOM\" " + arguments); }
  std::string err() const { return read_whole(folder_.file("err")); }

  TempFolder folder_;
  std::string model_ = byte_model(folder_), in_ = folder_.write("in.txt", "One.\nTwo.\nThree.\n");
  std::string to_err_ = " 2>" + folder_.file("err").string();
  std::string want_;
};

TEST_F(Streams, WhatCannotBeSaidChangesNoResult) {
  for (const char* redirections : {"2>&-", "2>/dev/full", "2> >(true)", ">&-", ">/dev/full", "<&-",
                                   "<&- >&-", "<&- >&- 2>&-", ">&- 2>&-", "2>/dev/null >/dev/full"})
    EXPECT_EQ(embed(redirections), 0) << redirections;
}

TEST_F(Streams, MessagesOfErrorsAreNoErrors) {
  for (const char* redirection : {"2>&-", "2>/dev/full"}) {
    EXPECT_EQ(run(concat("embed no-such-model -i ", in_, " -o ", folder_.file("x.npy").string(),
                         " ", redirection)),
              kDataError);
    EXPECT_EQ(run(concat("embed ", model_, " --no-such-flag ", redirection)), kUsageError);
  }
}

// Whatever prints, and however: std::cout, fmt, CLI11.
TEST_F(Streams, AResultThatCannotBePrintedIsAnError) {
  const std::string cases = folder_.write("cases.json", "[]");
  for (const std::string& command :
       {std::string("--help"), std::string("--version"), std::string("embed --help"),
        "info " + model_, concat("info ", model_, " --json"), "metrics " + cases,
        concat("tokenize ", model_, " Hello"), concat("tokenize ", model_, " Hello --json")}) {
    EXPECT_EQ(run(command + " >/dev/full" + to_err_), kDataError) << command;
    EXPECT_THAT(err(), testing::EndsWith(
                           "fathom: standard output: cannot write: No space left on device\n"))
        << command;
    EXPECT_EQ(run(command + " >&-" + to_err_), kDataError) << command;
    EXPECT_THAT(err(), HasSubstr("standard output: cannot write: Bad file descriptor")) << command;
    EXPECT_EQ(run(command + " >/dev/full 2>&-"), kDataError) << command;
    EXPECT_EQ(run(command + " >/dev/null"), 0) << command;
  }
}

// As `cat` would: the signal's status. Where it is ignored, an error.
TEST_F(Streams, APipeThatNobodyReads) {
  const std::string pipe = "info " + model_ + to_err_ + " | true; exit ${PIPESTATUS[0]}";
  EXPECT_EQ(run(pipe), 128 + SIGPIPE);
  EXPECT_EQ(run_shell("trap '' PIPE; \"$FATHOM\" " + pipe), kDataError);
  EXPECT_THAT(err(), HasSubstr("standard output: cannot write: Broken pipe"));
}

}  // namespace
}  // namespace fathom::test::streams_test
