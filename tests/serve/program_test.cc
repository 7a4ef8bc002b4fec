// SPDX-License-Identifier: Apache-2.0
// `fathom serve` as a program: what it refuses, and with which exit code.
#include "cli/program.h"

#include "model/byte_model.h"

namespace fathom::test::serve_program_test {
namespace {

using testing::HasSubstr;

TEST(ServeProgram, RefusesOptionsByTheirFlag) {
  expect_refused(run_fathom({"serve", "m", "--batch-tokens", "1"}), kUsageError,
                 {"--batch-tokens", "16", "'1'"});
  expect_refused(run_fathom({"serve"}), kUsageError, {"MODEL"});
  expect_refused(run_fathom({"serve", "m"}, {.environment = {"FATHOM_PORT=x"}}), kUsageError,
                 {"FATHOM_PORT", "'x'"});
  const TempFolder folder;
  const std::string config = folder.write("c.json", R"({"models": ["m"], "ports": 1})");
  expect_refused(run_fathom({"serve", "--config", config}), kDataError, {config, "ports"});
}

TEST(ServeProgram, EndsWithTheReasonWhereAModelCannotBeOpened) {
  const Outcome run = run_fathom({"serve", "/nowhere/model", "--port", "0"});
  EXPECT_EQ(run.exit_code, kDataError);
  EXPECT_THAT(run.err, HasSubstr("/nowhere/model"));
}

TEST(ServeProgram, NamesAFileOfKeysThatItCannotUse) {
  expect_refused(run_fathom({"serve", "m", "--port", "0", "--api-key-file", "/nowhere/keys"}),
                 kDataError, {"/nowhere/keys"});
}

}  // namespace
}  // namespace fathom::test::serve_program_test
