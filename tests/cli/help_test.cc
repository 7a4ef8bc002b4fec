// SPDX-License-Identifier: Apache-2.0
// Help and usage: what a user sees before anything works.
#include "cli/program.h"

namespace fathom::test::help_test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

const char* const kCommands[] = {"info",   "tokenize", "trace",   "embed",  "bench",
                                 "eval",   "fit",      "metrics", "rerank", "convert",
                                 "sweep",  "advise",   "prune",   "route",  "classify",
                                 "search", "compare",  "serve",   "help"};

TEST(Help, ListsEveryCommandAndTheLayerNumbering) {
  const Outcome run = run_ok({"--help"});
  EXPECT_EQ(run.err, "");
  for (const char* command : kCommands)
    EXPECT_THAT(run.out, ContainsRegex(std::string("\n  ") + command + " "));
  EXPECT_THAT(run.out, HasSubstr("0 = after ln0, i = after block i, final"));
}

TEST(Help, EveryCommandHasExamplesOfItself) {
  for (const char* command : kCommands) {
    const Outcome run = run_ok({command, "--help"});
    EXPECT_EQ(run.err, "");
    EXPECT_THAT(run.out, HasSubstr("Example"));
    EXPECT_THAT(run.out, HasSubstr(std::string("  fathom ") + command + " "));
  }
}

TEST(Help, EveryCommandSaysWhyAndWhereToReadOn) {
  for (const char* command : kCommands) {
    SCOPED_TRACE(command);
    const std::string help = run_ok({command, "--help"}).out;
    EXPECT_THAT(help, ContainsRegex("^[^\n]+\nUse it [^\n]+\\.\n"));
    EXPECT_THAT(help, ContainsRegex("\nSee also: fathom "));
  }
}

TEST(Help, FlagsStandInGroups) {
  const std::string help = run_ok({"embed", "--help"}).out;
  for (const char* text : {"\nModel:", "--dtype", "\nInput:", "--field",
                           "\nOutput:", "\nReading:", "--pool", "\nDepth:", "--depth-log"})
    EXPECT_THAT(help, HasSubstr(text));
  EXPECT_LT(help.find("\nModel:"), help.find("--dtype"));
  EXPECT_LT(help.find("--dtype"), help.find("\nInput:"));
  EXPECT_LT(help.find("\nDepth:"), help.find("--depth-log"));
}

TEST(Help, TopicsArePages) {
  for (const char* topic : {"layers", "depth", "formats"}) {
    SCOPED_TRACE(topic);
    const Outcome run = run_ok({"help", topic});
    EXPECT_EQ(run.err, "");
    EXPECT_THAT(run.out, HasSubstr("\n  fathom "));
    EXPECT_THAT(run.out, HasSubstr("See also: "));
  }
  EXPECT_THAT(run_ok({"help", "embed"}).out, HasSubstr("Usage: fathom embed"));
  EXPECT_THAT(run_ok({"help"}).out, HasSubstr("layers, depth, formats"));
  expect_refused(run_fathom({"help", "colours"}), kUsageError, {"colours", "layers"});
}

TEST(Help, PrintsItsVersion) {
  EXPECT_THAT(run_ok({"--version"}).out,
              testing::MatchesRegex("fathom [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(Usage, WrongCommandLinesAreToldInOneLine) {
  struct Case {
    std::vector<std::string> arguments, names;
  };
  const Case cases[] = {
      {{}, {"subcommand"}},
      {{"frobnicate"}, {"frobnicate"}},
      {{"embd"}, {"embd", "perhaps embed"}},
      {{"info"}, {"model", "required"}},
      {{"info", "m.pth", "--nosuch"}, {"--nosuch"}},
      {{"info", "m.pth", "--threads", "0"}, {"--threads"}},
      {{"info", "m.pth", "--threads", "many"}, {"--threads", "many"}},
      {{"info", "m.pth", "--ln-x-eps", "-1"}, {"--ln-x-eps"}},
      {{"trace", "m.pth", "--ids", "1"}, {"--output", "required"}},
      {{"embed", "m.pth", "-i", "s.txt"}, {"--output", "required"}},
      {{"embed", "m.pth", "-o", "e.npy", "--batch-tokens", "0"}, {"--batch-tokens"}},
      {{"eval", "m.pth", "--bootstrap", "0"}, {"--bootstrap"}},
      {{"metrics"}, {"cases", "required"}},
      {{"tokenize"}, {"MODEL", "--vocab"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.arguments));
    expect_refused(run_fathom(c.arguments), kUsageError, c.names);
  }
}

TEST(Usage, AMissingFileIsADataError) {
  expect_refused(run_fathom({"info", "nothing.pth"}), kDataError, {"nothing.pth", "no such file"});
}

}  // namespace
}  // namespace fathom::test::help_test
